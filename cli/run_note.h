#ifndef MIDWATCH_CLI_RUN_NOTE_H_
#define MIDWATCH_CLI_RUN_NOTE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "midwatch/v1/batch_service.pb.h"

namespace midwatch::cli {

// Which batch a command has begun and not told the end of, in the state
// directory: `midwatch run` until its results are written, `midwatch submit`
// until its id is printed. With it the next run (or submit) of the same file
// goes on with that batch where it is done meanwhile, too, and pays for no
// other.
class RunNote {
 public:
  // Of `command` ("run"), on a batch with this content at this account, sent to
  // the scheduler at `server` (empty: that of the state directory).
  RunNote(const std::string& state_dir, absl::string_view command,
          const v1::OpenBatch& open, absl::string_view server);

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
