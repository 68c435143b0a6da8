/** Small programs in every language: what each must be able to do, said in its own words. */
export interface Programs {
  /** Prints `hello`. */
  readonly hello: string;
  /** Reads a line from stdin and prints `got ` and the line. */
  readonly echo: string;
  /** Ends with exit code 3. */
  readonly exit: string;
  /** Fails while it runs: ends by a signal, or with an exit code that is not 0. */
  readonly failure: string;
  /**
   * Cannot be run. What compiles says so in its build, and nothing is run; an interpreter says so itself, in the words
   * `syntax error`, and exits with a code that is not 0.
   */
  readonly broken: string;
}

export const programs: Readonly<Record<string, Programs>> = {
  bash: {
    hello: "echo hello",
    echo: 'read -r line; echo "got $line"',
    exit: "exit 3",
    failure: "set -e; cat /nothing; true",
    broken: "if true; then )",
  },
  c: {
    hello: '#include <stdio.h>\nint main(void) { puts("hello"); }',
    echo: '#include <stdio.h>\nint main(void) { char s[99]; scanf("%98s", s); printf("got %s\\n", s); }',
    exit: "int main(void) { return 3; }",
    failure: "#include <assert.h>\nint main(void) { assert(0); }",
    broken: "int main(void) { return x; }",
  },
  cpp: {
    hello: '#include <iostream>\nint main() { std::cout << "hello" << std::endl; }',
    echo: '#include <iostream>\nint main() { std::string s; std::getline(std::cin, s); std::cout << "got " << s << "\\n"; }',
    exit: "int main() { return 3; }",
    failure: "#include <vector>\nint main() { std::vector<int>().at(1); }",
    broken: "int main() { return x; }",
  },
  csharp: {
    hello: 'class M { static void Main() { System.Console.WriteLine("hello"); } }',
    echo: 'using System; using System.Linq; class M { static void Main() { Console.WriteLine("got " + new string(Console.ReadLine().ToArray())); } }',
    exit: "class M { static int Main() { return 3; } }",
    failure: 'class M { static void Main() { throw new System.Exception("failure"); } }',
    broken: "class M { static void Main() { return x; } }",
  },
  go: {
    hello: 'package main\nimport "fmt"\nfunc main() { fmt.Println("hello") }',
    echo: 'package main\nimport ("bufio"; "fmt"; "os")\nfunc main() { s := bufio.NewScanner(os.Stdin); s.Scan(); fmt.Println("got", s.Text()) }',
    exit: 'package main\nimport "os"\nfunc main() { os.Exit(3) }',
    failure: "package main\nfunc main() { var m map[int]int; m[1] = 1 }",
    broken: "package main\nfunc main() { return x }",
  },
  haskell: {
    hello: 'main :: IO ()\nmain = putStrLn "hello"',
    echo: 'main :: IO ()\nmain = getLine >>= putStrLn . ("got " ++)',
    exit: "import System.Exit\nmain :: IO ()\nmain = exitWith (ExitFailure 3)",
    failure: "main :: IO ()\nmain = print (head ([] :: [Int]))",
    broken: "main :: IO ()\nmain = x",
  },
  java: {
    hello: 'class Main { public static void main(String[] a) { System.out.println("hello"); } }',
    echo: 'class Main { public static void main(String[] a) { System.out.println("got " + new java.util.Scanner(System.in).nextLine()); } }',
    exit: "class Main { public static void main(String[] a) { System.exit(3); } }",
    failure: "class Main { public static void main(String[] a) { int[] i = {}; i[1] = 1; } }",
    broken: "class Main { public static void main(String[] a) { return x; } }",
  },
  javascript: {
    hello: 'console.log("hello")',
    echo: 'console.log("got " + require("node:fs").readFileSync(0, "utf8").trim())',
    exit: "process.exit(3)",
    failure: "undefined.x",
    broken: 'console.log("printed"); let let = 1;',
  },
  lua: {
    hello: 'print("hello")',
    echo: 'print("got " .. io.read())',
    exit: "os.exit(3)",
    failure: 'error("failure")',
    broken: 'print("printed") x',
  },
  ocaml: {
    hello: 'let () = print_endline "hello"',
    echo: 'let () = print_endline ("got " ^ read_line ())',
    exit: "let () = exit 3",
    failure: 'let () = failwith "failure"',
    broken: "let () = x",
  },
  pascal: {
    hello: "begin writeln('hello') end.",
    echo: "var s: string; begin readln(s); writeln('got ', s) end.",
    exit: "begin halt(3) end.",
    failure: "var i: integer; begin i := 0; writeln(1 div i) end.",
    broken: "begin x end.",
  },
  perl: {
    hello: 'print "hello\\n"',
    echo: 'print "got ", scalar <STDIN>',
    exit: "exit 3",
    failure: 'die "failure"',
    broken: 'print "printed"; print "a" "b";',
  },
  php: {
    hello: '<?php echo "hello\\n";',
    echo: '<?php echo "got ", fgets(STDIN);',
    exit: "<?php exit(3);",
    failure: '<?php throw new Exception("failure");',
    broken: '<?php echo "printed"; x x;',
  },
  python: {
    hello: 'print("hello")',
    echo: 'print("got", input())',
    exit: "raise SystemExit(3)",
    failure: "1 / 0",
    broken: 'print("printed")\nif:',
  },
  ruby: {
    hello: 'puts "hello"',
    echo: 'puts "got #{gets}"',
    exit: "exit 3",
    failure: 'raise "failure"',
    broken: 'puts "printed"; )',
  },
  rust: {
    hello: 'fn main() { println!("hello"); }',
    echo: 'fn main() { let mut s = String::new(); std::io::stdin().read_line(&mut s).unwrap(); println!("got {}", s.trim()); }',
    exit: "fn main() { std::process::exit(3) }",
    failure: 'fn main() { panic!("failure") }',
    broken: "fn main() { x }",
  },
  sqlite: {
    hello: "SELECT 'hello';",
    echo: "CREATE TABLE line(text);\n.import /dev/stdin line\nSELECT 'got ' || text FROM line;",
    exit: ".exit 3",
    failure: "SELECT * FROM nothing;",
    broken: "SELEC 'printed';",
  },
};
