// What a session wrote under /mnt/session/outputs, as files of the session.
#ifndef MIDWATCH_HARNESS_SESSION_OUTPUTS_H_
#define MIDWATCH_HARNESS_SESSION_OUTPUTS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/coro.h"
#include "harness/core.h"

namespace midwatch::harness {

struct SessionOutputs {
  std::vector<File> added;       // new or changed; stored, without a row
  std::vector<File> superseded;  // of the same names, with a row
};

// Stores the bytes of what is not yet a file of the session. No process of the
// session may be left.
Async<absl::StatusOr<SessionOutputs>> StoreOutputs(Core& core,
                                                   std::string session_id);

// Writes the rows, in a transaction of the caller's.
absl::Status RegisterOutputs(Core& core, const SessionOutputs& outputs);

// Removes the bytes that no row names any more, some time later.
void DropSuperseded(Core& core, const SessionOutputs& outputs);

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_SESSION_OUTPUTS_H_
