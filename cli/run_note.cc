#include "cli/run_note.h"

#include <unistd.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "base/sha256.h"
#include "cli/whole_file.h"

namespace midwatch::cli {

RunNote::RunNote(const std::string& state_dir, absl::string_view command,
                 const v1::OpenBatch& open, absl::string_view server)
    : path_(absl::StrCat(
          state_dir, "/", command, "-",
          Sha256Hex(absl::StrCat(open.content_sha256(), " ", open.name(), " ",
                                 open.account(), server.empty() ? "" : " ",
                                 server)))) {}

std::string RunNote::Read() const {
  std::ifstream file(path_);
  std::string request_id;
  std::getline(file, request_id);
  return request_id;
}

absl::Status RunNote::Write(const std::string& request_id) const {
  return WriteWholeFile(path_, request_id + "\n", /*replace=*/true);
}

void RunNote::Remove() const { unlink(path_.c_str()); }

}  // namespace midwatch::cli
