#ifndef MIDWATCH_HARNESS_SECCOMP_H_
#define MIDWATCH_HARNESS_SECCOMP_H_

#include <string>

#include "absl/status/statusor.h"

namespace midwatch::harness {

// The sandbox's system call filter, as the BPF program that bwrap --seccomp
// reads: what changes the machine, looks into other processes or makes new
// namespaces gets EPERM; all else is allowed.
absl::StatusOr<std::string> SeccompFilter();

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_SECCOMP_H_
