/*
 * The launcher: executes a plan, an array of system calls prepared by the slot that spawned it.
 *
 * It knows nothing of containers. The plan does: its first steps run in the launcher itself; a `fork` step
 * (clone3 with new namespaces) makes init, which goes on with the next step while its parent jumps ahead;
 * a second one makes the payload in the same way; an `until` step is init waiting for the payload.
 *
 *   launcher ──▶ … clone3 ─────────────────────────────────────────────────────▶ exit
 *                     └─ init ──▶ mounts, pivot_root, … clone ──▶ wait4 until ──▶ exit
 *                                                        └─ payload ──▶ limits, ids, … execve
 *
 * A `go on` step leaps over what is no step: the plan may be longer by then than it was when it was begun, if the call
 * was one that waits for whoever wrote the rest.
 *
 * The plan lies in a memfd inherited as descriptor 3. It is mapped shared at a fixed address, so that
 *   - its pointers are absolute: the slot computes them, nothing is relocated here;
 *   - what the calls return is visible to the slot and to the other processes of the plan.
 * The first call that fails is recorded with its errno and ends the process that made it.
 *
 * No libc: start-up of a libc costs ten times what the whole program does.
 */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

enum {
    PLAN_DESCRIPTOR = 3,
    EXIT_FAILED = 125, /* as env(1), timeout(1) and docker(1): the launcher itself failed */
};

#define PLAN_ADDRESS 0x10000000ul
#define PLAN_ROOM (256ul << 20) /* address space only; the memfd ends where the plan does */

enum flags {
    MAY_FAIL = 1,  /* a negative result is as good as any other */
    FORK = 2,      /* the parent goes on at `next`, the child with the following step */
    UNTIL = 4,     /* repeated until it returns the result of step `next` */
    MUST_BE_0 = 8, /* a positive result is a failure, too (EPIPE) */
    GO_ON = 16,    /* goes on at `next` */
};

struct step {
    u32 number;         /* of the system call */
    u8 references;      /* bit n: argument n is the index of the step whose result is meant */
    u8 flags;
    u16 next;
    u64 arguments[6];
    long result;
    u64 clock;          /* time-stamp counter when it returned, of a FORK in the child; for measurements */
};

struct plan {
    u32 failed; /* index of the step that failed, plus one; the first writer wins */
    u32 error;  /* its errno */
    struct step steps[];
};

static volatile struct plan *const plan = (struct plan *)PLAN_ADDRESS;

enum { SYS_mmap = 9, SYS_close = 3, SYS_exit_group = 231, SYS_openat2 = 437 };

/* The kernel gives a walk up with EAGAIN when anything was renamed meanwhile, anywhere: see worker/linux/open.ts. */
enum { EAGAIN = 11, WALKS_MAX = 1000 };

static inline __attribute__((always_inline)) long call(long n, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
    register u64 r10 __asm__("r10") = d;
    register u64 r8 __asm__("r8") = e;
    register u64 r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static __attribute__((noreturn)) void begin(u32 fork);

/*
 * As call, for the call of step `fork`, that makes a process: the child does not come back from here, but begins.
 *
 * A child that shares its parent's memory (CLONE_VM|CLONE_VFORK: the parent sleeps until the child executes or ends)
 * shares its stack, too, and must not touch what the parent goes on with. So none of its instructions are the
 * compiler's, which might keep anything anywhere in this frame, before it has a frame of its own: that begins below the
 * red zone, 128 bytes under the stack pointer that functions use without a word (System V ABI for x86-64, 3.2.2).
 */
static inline __attribute__((always_inline)) long make_process(u32 fork, long n, u64 a, u64 b, u64 c, u64 d, u64 e)
{
    register u64 r10 __asm__("r10") = d;
    register u64 r8 __asm__("r8") = e;
    long result;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "sub $128, %%rsp\n\t"
                     "and $-16, %%rsp\n\t"
                     "mov %%ebx, %%edi\n\t"
                     "call %P[begin]\n"
                     "1:"
                     : "=a"(result)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "b"(fork), [begin] "i"(begin)
                     : "rcx", "r11", "cc", "memory");
    return result;
}

static __attribute__((noreturn)) void fail(u32 index, u32 error)
{
    u32 nobody = 0;
    if (__atomic_compare_exchange_n(&plan->failed, &nobody, index + 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        plan->error = error;
    for (;;)
        call(SYS_exit_group, EXIT_FAILED, 0, 0, 0, 0, 0);
}

/* Makes the calls from step `index` on. */
static __attribute__((noreturn)) void run(u32 index)
{
    enum { EPIPE = 32 };

    for (;;) {
        volatile struct step *step = &plan->steps[index];
        u64 a[6];
        for (int n = 0; n < 6; n++)
            a[n] = step->references >> n & 1 ? (u64)plan->steps[step->arguments[n]].result : step->arguments[n];

        long result;
        if (step->flags & FORK) {
            result = make_process(index, step->number, a[0], a[1], a[2], a[3], a[4]);
        } else {
            u32 walks = 0;
            do
                result = call(step->number, a[0], a[1], a[2], a[3], a[4], a[5]);
            while (result == -EAGAIN && step->number == SYS_openat2 && ++walks < WALKS_MAX);
            step->clock = __builtin_ia32_rdtsc();
        }

        if (result < 0 && !(step->flags & MAY_FAIL))
            fail(index, -result);
        if (result > 0 && step->flags & MUST_BE_0)
            fail(index, EPIPE);
        step->result = result;
        if (step->flags & UNTIL && result != plan->steps[step->next].result)
            continue;
        index = step->flags & (FORK | GO_ON) ? step->next : index + 1;
    }
}

/* The child that step `fork` has made; what that returned is the parent's to write. */
static __attribute__((noreturn)) void begin(u32 fork)
{
    plan->steps[fork].clock = __builtin_ia32_rdtsc();
    run(fork + 1);
}

__attribute__((noreturn, force_align_arg_pointer)) void _start(void)
{
    enum { PROT_READ_WRITE = 3, MAP_SHARED_FIXED = 0x11 };

    if (call(SYS_mmap, PLAN_ADDRESS, PLAN_ROOM, PROT_READ_WRITE, MAP_SHARED_FIXED, PLAN_DESCRIPTOR, 0) < 0)
        call(SYS_exit_group, EXIT_FAILED, 0, 0, 0, 0, 0);
    call(SYS_close, PLAN_DESCRIPTOR, 0, 0, 0, 0, 0);
    run(0);
}
