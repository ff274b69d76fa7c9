// Files (managed-agents-api.md section 2.8): uploads, the copies that sessions
// mount, and what sessions wrote under /mnt/session/outputs. The bytes of a
// file are in the file `files/<id>` of the data directory, which is complete
// and synced before its row is committed.
#ifndef MIDWATCH_HARNESS_FILE_TABLE_H_
#define MIDWATCH_HARNESS_FILE_TABLE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "harness/database.h"
#include "harness/json.h"
#include "harness/page.h"

namespace midwatch::harness {

struct File {
  std::string id;
  std::string filename;
  std::string mime_type;
  int64_t size_bytes = 0;
  std::string sha256;
  bool downloadable = false;  // outputs are, uploads and their copies are not
  std::string session_id;     // "": of no session
  int64_t created_at = 0;
  std::optional<int64_t> expires_at;
};

Json ToJson(const File& file);

// The type that the name's ending stands for.
std::string MimeTypeOf(const std::string& filename);

class FileTable {
 public:
  FileTable(Database& db, std::string dir) : db_(db), dir_(std::move(dir)) {}

  std::string PathOf(const std::string& id) const { return dir_ + "/" + id; }
  const std::string& dir() const { return dir_; }

  // kNotFound where there is none, or it has expired.
  absl::StatusOr<File> Get(const std::string& id);
  absl::Status Insert(const File& file);
  // The rows only: the bytes are removed once that is durable.
  absl::Status Delete(const std::string& id);
  absl::Status DeleteOfSession(const std::string& session_id);

  // Newest first; at most page.limit + 1. "" is any session.
  absl::StatusOr<std::vector<File>> List(const std::string& session_id,
                                         const PageQuery& page);
  // All of a session, or with "" all that are of none.
  absl::StatusOr<std::vector<File>> OfSession(const std::string& session_id);
  absl::StatusOr<std::vector<std::string>> AllIds();

 private:
  Database& db_;
  std::string dir_;
};

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_FILE_TABLE_H_
