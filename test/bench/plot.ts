/** Draws what a bench has found, as an SVG that any browser shows. */
import { scaleLinear, scaleLog } from "d3-scale";
import { line } from "d3-shape";

/** Lines over one axis that begins at 0, and one that is logarithmic. */
export interface Plot {
  readonly title: string;
  /** What is along the horizontal axis, with its unit. */
  readonly x: string;
  /** What is along the vertical axis, with its unit. */
  readonly y: string;
  readonly series: readonly PlotSeries[];
}

export interface PlotSeries {
  readonly name: string;
  /** In the order in which they are joined; `y` is above 0. */
  readonly points: readonly PlotPoint[];
}

export interface PlotPoint {
  readonly x: number;
  readonly y: number;
  /** Written beside the point. */
  readonly label?: string | undefined;
}

const WIDTH = 760;
const HEIGHT = 440;
const MARGIN = { top: 48, right: 96, bottom: 56, left: 72 };

/** Told apart by people who see fewer colours, too (Okabe and Ito, "Color Universal Design", 2008). */
const COLOURS = ["#0072b2", "#e69f00", "#d55e00", "#009e73"];

export function toSvg({ title, x, y, series }: Plot): string {
  const points = series.flatMap((one) => one.points);
  const across = scaleLinear(
    [0, Math.max(...points.map((point) => point.x))],
    [MARGIN.left, WIDTH - MARGIN.right],
  ).nice();
  const up = scaleLog(
    [Math.min(...points.map((point) => point.y)), Math.max(...points.map((point) => point.y))],
    [HEIGHT - MARGIN.bottom, MARGIN.top],
  ).nice();
  const left = MARGIN.left;
  const bottom = HEIGHT - MARGIN.bottom;
  const right = WIDTH - MARGIN.right;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>`,
    text(left, 24, title, `font-size="15"`),
    ...across
      .ticks(8)
      .flatMap((tick) => [
        rule(across(tick), MARGIN.top, across(tick), bottom),
        text(across(tick), bottom + 18, String(tick), `text-anchor="middle"`),
      ]),
    ...up
      .ticks(6)
      .flatMap((tick) => [
        rule(left, up(tick), right, up(tick)),
        text(left - 8, up(tick) + 4, up.tickFormat(6)(tick), `text-anchor="end"`),
      ]),
    text((left + right) / 2, HEIGHT - 14, x, `text-anchor="middle"`),
    text(
      18,
      (MARGIN.top + bottom) / 2,
      y,
      `text-anchor="middle" transform="rotate(-90 18 ${(MARGIN.top + bottom) / 2})"`,
    ),
    ...series.flatMap(({ name, points: joined }, index) => {
      const colour = COLOURS[index % COLOURS.length] ?? "black";
      const path =
        line<PlotPoint>(
          (point) => across(point.x),
          (point) => up(point.y),
        )(joined) ?? "";
      const last = joined.at(-1);
      return [
        `<path d="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`,
        ...joined.flatMap((point) => [
          `<circle cx="${across(point.x)}" cy="${up(point.y)}" r="3" fill="${colour}"/>`,
          ...(point.label === undefined
            ? []
            : [text(across(point.x) + 5, up(point.y) + 14, point.label, `fill="${colour}"`)]),
        ]),
        ...(last === undefined
          ? []
          : [text(across(last.x) + 8, up(last.y) - 4, name, `fill="${colour}" font-weight="bold"`)]),
      ];
    }),
    "</svg>",
    "",
  ].join("\n");
}

function rule(x1: number, y1: number, x2: number, y2: number): string {
  return `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="#ddd"/>`;
}

function text(x: number, y: number, content: string, attributes: string): string {
  const escaped = content.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `<text x="${x}" y="${y}" ${attributes}>${escaped}</text>`;
}
