#include "harness/seccomp.h"

#include <sched.h>
#include <seccomp.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "base/process.h"
#include "base/status_macros.h"

namespace midwatch::harness {
namespace {

constexpr int kDenied[] = {
    // Other processes.
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(kcmp),
    SCMP_SYS(perf_event_open),
    // Namespaces and mounts.
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(move_mount),
    SCMP_SYS(open_tree),
    SCMP_SYS(fsopen),
    SCMP_SYS(fsconfig),
    SCMP_SYS(fsmount),
    SCMP_SYS(fspick),
    SCMP_SYS(mount_setattr),
    SCMP_SYS(open_by_handle_at),
    // The kernel's keys, programs and modules.
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(keyctl),
    SCMP_SYS(bpf),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    // The machine.
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(acct),
    SCMP_SYS(quotactl),
    SCMP_SYS(syslog),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname),
};

absl::Status AddRules(scmp_filter_ctx filter) {
  int error = 0;
  for (int call : kDenied) {
    if (error == 0)
      error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 0);
  }
  for (uint64_t flag : {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWPID,
                        CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP}) {
    if (error == 0) {
      error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone),
                               1, SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag));
    }
  }
  // Its flags are in memory, where a filter cannot look. ENOSYS makes the C
  // library fall back to clone.
  if (error == 0) {
    error =
        seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
  }
  if (error != 0) return absl::ErrnoToStatus(-error, "seccomp_rule_add");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> SeccompFilter() {
  std::unique_ptr<void, void (*)(void*)> filter(seccomp_init(SCMP_ACT_ALLOW),
                                                seccomp_release);
  if (filter == nullptr) return absl::InternalError("seccomp_init failed");
  RETURN_IF_ERROR(AddRules(filter.get()));
  ASSIGN_OR_RETURN(OwnedFd file, MemoryFile("seccomp", ""));
  int error = seccomp_export_bpf(filter.get(), file.get());
  if (error != 0) return absl::ErrnoToStatus(-error, "seccomp_export_bpf");
  std::string program(static_cast<size_t>(lseek(file.get(), 0, SEEK_END)),
                      '\0');
  if (pread(file.get(), program.data(), program.size(), 0) !=
      static_cast<ssize_t>(program.size())) {
    return absl::ErrnoToStatus(errno, "cannot read the seccomp filter");
  }
  return program;
}

}  // namespace midwatch::harness
