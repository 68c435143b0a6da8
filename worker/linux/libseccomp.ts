import koffi, { type LibraryHandle } from "koffi";

/** The calls of libseccomp that make a filter, as koffi functions. */
export type Libseccomp = ReturnType<typeof load>;

let loaded: Libseccomp | undefined;

/**
 * libseccomp, loaded at the first use, so that what compiles no filter works without it.
 * @throws {Error} when it is not installed
 */
export function libseccomp(): Libseccomp {
  loaded ??= load();
  return loaded;
}

function load() {
  let library: LibraryHandle;
  try {
    library = koffi.load("libseccomp.so.2");
  } catch (cause) {
    throw new Error("libseccomp.so.2 cannot be loaded: install it (Debian: apt-get install libseccomp2)", { cause });
  }
  return {
    /** seccomp_init(3): an empty filter, the caller's until `release`; NULL on failure. */
    init: library.func("seccomp_init", "void *", ["uint32"]),
    /** seccomp_release(3): frees a filter; always succeeds. */
    release: library.func("seccomp_release", "void", ["void *"]),
    /** seccomp_arch_resolve_name(3): token of an architecture, 0 when unknown. The name stays the caller's. */
    resolveArchitecture: library.func("seccomp_arch_resolve_name", "uint32", ["str"]),
    /** seccomp_arch_add(3): 0, or a negated errno; -EEXIST when the filter has the architecture, as the native one. */
    addArchitecture: library.func("seccomp_arch_add", "int", ["void *", "uint32"]),
    /** seccomp_syscall_resolve_name(3): number on this machine, -1 when unknown, lower when other machines have it. */
    resolveSystemCall: library.func("seccomp_syscall_resolve_name", "int", ["str"]),
    /** seccomp_attr_set(3): 0, or a negated errno. */
    setAttribute: library.func("seccomp_attr_set", "int", ["void *", "int", "uint32"]),
    /** seccomp_rule_add_array(3): 0, or a negated errno. Copies the comparisons, which stay the caller's. */
    addRule: library.func("seccomp_rule_add_array", "int", ["void *", "uint32", "int", "uint", "void *"]),
    /** seccomp_export_bpf(3): writes the filter to a descriptor, which stays the caller's; 0, or a negated errno. */
    exportBpf: library.func("seccomp_export_bpf", "int", ["void *", "int"]),
  };
}
