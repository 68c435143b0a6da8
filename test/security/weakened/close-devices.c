/*
 * Closes a cgroup of v2 to devices but those named, and lets it make any, as systemd does for a unit with
 * `DevicePolicy=closed` and `DeviceAllow=char-* m`, `DeviceAllow=block-* m`: v2 has no file for that, but asks a program.
 *
 *   close-devices CGROUP MAJOR:MINOR…
 *
 * The program stays as long as the cgroup. BPF_PROG_TYPE_CGROUP_DEVICE: bpf(2) and <linux/bpf.h>, Linux 4.15.
 */
#include <fcntl.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { DEVICES_MAX = 64, RESULT = BPF_REG_0, CONTEXT, TYPE, ACCESS, MAJOR, MINOR };

static struct bpf_insn program[16 + 2 * DEVICES_MAX];
static int length;

static void add(int code, int to, int from, int jump, int value) {
  program[length++] = (struct bpf_insn){ .code = code, .dst_reg = to, .src_reg = from, .off = jump, .imm = value };
}

static void load(int to, int offset) {
  add(BPF_LDX | BPF_W | BPF_MEM, to, CONTEXT, offset, 0);
}

static void answer(int value) {
  add(BPF_ALU64 | BPF_MOV | BPF_K, RESULT, 0, 0, value);
  add(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static void write_program(int devices, char *const *names) {
  load(TYPE, offsetof(struct bpf_cgroup_dev_ctx, access_type));
  add(BPF_ALU64 | BPF_MOV | BPF_X, ACCESS, TYPE, 0, 0);
  add(BPF_ALU64 | BPF_RSH | BPF_K, ACCESS, 0, 0, 16);
  add(BPF_ALU64 | BPF_AND | BPF_K, TYPE, 0, 0, 0xffff);
  load(MAJOR, offsetof(struct bpf_cgroup_dev_ctx, major));
  load(MINOR, offsetof(struct bpf_cgroup_dev_ctx, minor));
  /* To the answer at the end, which comes after all devices and the answer for all others. */
  add(BPF_JMP | BPF_JEQ | BPF_K, ACCESS, 0, 1 + 2 * devices + 2, BPF_DEVCG_ACC_MKNOD);
  add(BPF_JMP | BPF_JNE | BPF_K, TYPE, 0, 2 * devices, BPF_DEVCG_DEV_CHAR);
  for (int device = 0; device < devices; device++) {
    char *minor;
    add(BPF_JMP | BPF_JNE | BPF_K, MAJOR, 0, 1, strtol(names[device], &minor, 10));
    add(BPF_JMP | BPF_JEQ | BPF_K, MINOR, 0, 2 * (devices - 1 - device) + 2, strtol(minor + 1, NULL, 10));
  }
  answer(0);
  answer(1);
}

static int bpf(int command, union bpf_attr attributes) {
  return syscall(SYS_bpf, command, &attributes, sizeof attributes);
}

int main(int count, char **words) {
  if (count < 2 || count - 2 > DEVICES_MAX) return 2;
  write_program(count - 2, words + 2);
  int loaded = bpf(BPF_PROG_LOAD, (union bpf_attr){
    .prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
    .insns = (unsigned long)program,
    .insn_cnt = length,
    .license = (unsigned long)"Apache-2.0",
  });
  if (loaded < 0) return perror("BPF_PROG_LOAD"), 1;
  int cgroup = open(words[1], O_RDONLY | O_DIRECTORY);
  if (cgroup < 0) return perror(words[1]), 1;
  int attached = bpf(BPF_PROG_ATTACH, (union bpf_attr){
    .target_fd = cgroup,
    .attach_bpf_fd = loaded,
    .attach_type = BPF_CGROUP_DEVICE,
    .attach_flags = BPF_F_ALLOW_MULTI,
  });
  if (attached < 0) return perror("BPF_PROG_ATTACH"), 1;
}
