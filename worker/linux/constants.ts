/** Constants of the Linux system call interface, under their C names, from the kernel's include/uapi. */

export const AT = {
  AT_FDCWD: -100,
  AT_SYMLINK_NOFOLLOW: 0x100,
  AT_EMPTY_PATH: 0x1000,
  AT_RECURSIVE: 0x8000,
} as const;

export const CLONE = {
  CLONE_VM: 0x100,
  CLONE_FS: 0x200,
  CLONE_PIDFD: 0x1000,
  CLONE_VFORK: 0x4000,
  CLONE_PARENT: 0x8000,
  CLONE_NEWNS: 0x20000,
  CLONE_NEWCGROUP: 0x2000000,
  CLONE_NEWUTS: 0x4000000,
  CLONE_NEWIPC: 0x8000000,
  CLONE_NEWUSER: 0x10000000,
  CLONE_NEWPID: 0x20000000,
  CLONE_NEWNET: 0x40000000,
  CLONE_INTO_CGROUP: 0x200000000,
} as const;

export const O = {
  O_RDONLY: 0,
  O_WRONLY: 1,
  O_RDWR: 2,
  O_CREAT: 0o100,
  O_EXCL: 0o200,
  O_TRUNC: 0o1000,
  O_NONBLOCK: 0o4000,
  O_DIRECTORY: 0o200000,
  O_NOFOLLOW: 0o400000,
  O_CLOEXEC: 0o2000000,
  O_PATH: 0o10000000,
} as const;

/** openat2(2), `struct open_how.resolve`. */
export const RESOLVE = { RESOLVE_NO_MAGICLINKS: 2, RESOLVE_NO_SYMLINKS: 4, RESOLVE_IN_ROOT: 0x10 } as const;

/** mount(2) and umount2(2). */
export const MS = { MS_NOSUID: 2, MS_NODEV: 4, MS_REC: 0x4000, MS_PRIVATE: 0x40000 } as const;
export const MNT = { MNT_DETACH: 2 } as const;

/** fsopen(2), fsconfig(2), fsmount(2), open_tree(2), move_mount(2), mount_setattr(2). */
export const FSOPEN = { FSOPEN_CLOEXEC: 1 } as const;
export const FSCONFIG = {
  FSCONFIG_SET_FLAG: 0,
  FSCONFIG_SET_STRING: 1,
  FSCONFIG_SET_FD: 5,
  FSCONFIG_CMD_CREATE: 6,
} as const;
export const FSMOUNT = { FSMOUNT_CLOEXEC: 1 } as const;
export const OPEN_TREE = { OPEN_TREE_CLONE: 1, OPEN_TREE_CLOEXEC: 0o2000000 } as const;
export const MOVE_MOUNT = { MOVE_MOUNT_F_EMPTY_PATH: 4, MOVE_MOUNT_T_EMPTY_PATH: 0x40 } as const;
export const MOUNT_ATTR = {
  MOUNT_ATTR_RDONLY: 1,
  MOUNT_ATTR_NOSUID: 2,
  MOUNT_ATTR_NODEV: 4,
  MOUNT_ATTR_NOEXEC: 8,
  MOUNT_ATTR_IDMAP: 0x100000,
} as const;

export const S = {
  S_IFREG: 0o100000,
  S_IFBLK: 0o60000,
  S_IFCHR: 0o20000,
  S_IFIFO: 0o10000,
  S_IFDIR: 0o40000,
  S_IFMT: 0o170000,
} as const;

/** flock(2). */
export const LOCK = { LOCK_SH: 1, LOCK_EX: 2, LOCK_NB: 4 } as const;

export const PR = {
  PR_SET_PDEATHSIG: 1,
  PR_SET_NAME: 15,
  PR_CAPBSET_DROP: 24,
  PR_SET_NO_NEW_PRIVS: 38,
} as const;

/** capabilities(7), up to Linux 5.9; kernels that know fewer answer EINVAL. */
export const CAP = {
  CAP_CHOWN: 0,
  CAP_DAC_OVERRIDE: 1,
  CAP_DAC_READ_SEARCH: 2,
  CAP_FOWNER: 3,
  CAP_FSETID: 4,
  CAP_KILL: 5,
  CAP_SETGID: 6,
  CAP_SETUID: 7,
  CAP_SETPCAP: 8,
  CAP_LINUX_IMMUTABLE: 9,
  CAP_NET_BIND_SERVICE: 10,
  CAP_NET_BROADCAST: 11,
  CAP_NET_ADMIN: 12,
  CAP_NET_RAW: 13,
  CAP_IPC_LOCK: 14,
  CAP_IPC_OWNER: 15,
  CAP_SYS_MODULE: 16,
  CAP_SYS_RAWIO: 17,
  CAP_SYS_CHROOT: 18,
  CAP_SYS_PTRACE: 19,
  CAP_SYS_PACCT: 20,
  CAP_SYS_ADMIN: 21,
  CAP_SYS_BOOT: 22,
  CAP_SYS_NICE: 23,
  CAP_SYS_RESOURCE: 24,
  CAP_SYS_TIME: 25,
  CAP_SYS_TTY_CONFIG: 26,
  CAP_MKNOD: 27,
  CAP_LEASE: 28,
  CAP_AUDIT_WRITE: 29,
  CAP_AUDIT_CONTROL: 30,
  CAP_SETFCAP: 31,
  CAP_MAC_OVERRIDE: 32,
  CAP_MAC_ADMIN: 33,
  CAP_SYSLOG: 34,
  CAP_WAKE_ALARM: 35,
  CAP_BLOCK_SUSPEND: 36,
  CAP_AUDIT_READ: 37,
  CAP_PERFMON: 38,
  CAP_BPF: 39,
  CAP_CHECKPOINT_RESTORE: 40,
} as const;

/** seccomp(2), seccomp_unotify(2). */
export const SECCOMP = {
  SECCOMP_SET_MODE_FILTER: 1,
  SECCOMP_FILTER_FLAG_NEW_LISTENER: 8,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: 0x20,
  SECCOMP_USER_NOTIF_FLAG_CONTINUE: 1,
  SECCOMP_IOCTL_NOTIF_RECV: 0xc0502100,
  SECCOMP_IOCTL_NOTIF_SEND: 0xc0182101,
} as const;

export const KEYCTL = { KEYCTL_JOIN_SESSION_KEYRING: 1 } as const;

export const CLOCK = { CLOCK_MONOTONIC: 1, CLOCK_PROCESS_CPUTIME_ID: 2 } as const;

export const RLIMIT = {
  RLIMIT_FSIZE: 1,
  RLIMIT_STACK: 3,
  RLIMIT_CORE: 4,
  RLIMIT_NOFILE: 7,
} as const;

export const SOCKET = {
  AF_UNIX: 1,
  AF_INET: 2,
  SOCK_DGRAM: 2,
  SOCK_SEQPACKET: 5,
  SOCK_CLOEXEC: 0o2000000,
  SOCK_STREAM: 1,
  SOCK_RAW: 3,
  SOCK_TYPE_MASK: 0xf,
  IPPROTO_TCP: 6,
  IPPROTO_UDP: 17,
} as const;

/** sendmsg(2), unix(7). */
export const MESSAGE = {
  SOL_SOCKET: 1,
  SCM_RIGHTS: 1,
  MSG_DONTWAIT: 0x40,
  MSG_NOSIGNAL: 0x4000,
  MSG_CMSG_CLOEXEC: 0x40000000,
} as const;

/** netdevice(7). */
export const INTERFACE = { SIOCSIFFLAGS: 0x8914, IFF_UP: 1, IFF_RUNNING: 0x40 } as const;

/** wait(2), waitid(2). */
export const WAIT = { P_PID: 1, WNOHANG: 1, WEXITED: 4, WNOWAIT: 0x01000000 } as const;
export const POLL = { POLLIN: 1, POLLHUP: 0x10, POLLERR: 8 } as const;
export const SIGNAL = { SIGKILL: 9, SIGCHLD: 17, SIGXFSZ: 25 } as const;
export const FCNTL = {
  F_SETFL: 4,
  F_DUPFD_CLOEXEC: 1030,
  F_ADD_SEALS: 1033,
  F_SETPIPE_SZ: 1031,
  F_SEAL_SEAL: 1,
  F_SEAL_SHRINK: 2,
  F_SEAL_GROW: 4,
  F_SEAL_WRITE: 8,
} as const;
export const MFD = { MFD_CLOEXEC: 1, MFD_ALLOW_SEALING: 2, MFD_NOEXEC_SEAL: 8 } as const;
