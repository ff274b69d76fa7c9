#ifndef MIDWATCH_CLI_RUN_NOTE_H_
#define MIDWATCH_CLI_RUN_NOTE_H_

#include <string>

#include "absl/status/status.h"
#include "midwatch/v1/batch_service.pb.h"

namespace midwatch::cli {

// Which batch a run of a file has begun and not written the results of, in the
// state directory. With it the next run of the same file goes on with that
// batch where it is done meanwhile, too, and pays for no other.
class RunNote {
 public:
  // Of a batch with this content at this account.
  RunNote(const std::string& state_dir, const v1::OpenBatch& open);

  // The batch's request id; "" where there is no note.
  std::string Read() const;
  // Durable once it returns.
  absl::Status Write(const std::string& request_id) const;
  void Remove() const;

 private:
  std::string path_;
};

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_RUN_NOTE_H_
