import type * as z from "zod";

/** How one variable of the environment is declared. */
export interface Variable<Value> {
  /** What applies when it is not set; in the form in which it would be set. */
  readonly default: string;
  readonly meaning: string;
  readonly schema: z.ZodType<Value, string>;
}

/** Declarations by name. */
export type Variables = Readonly<Record<string, Variable<unknown>>>;

/** What declared variables say, once they are read. */
export type ValuesOf<Declared extends Variables> = {
  readonly [Name in keyof Declared]: z.output<Declared[Name]["schema"]>;
};
