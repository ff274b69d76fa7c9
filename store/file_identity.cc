#include "store/file_identity.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace midwatch {
namespace {

absl::Status PutMeta(Sqlite& db, const char* key, int64_t value) {
  return db.Run(
      "INSERT INTO meta(key, value) VALUES (?, ?) "
      "ON CONFLICT(key) DO UPDATE SET value = excluded.value",
      key, value);
}

}  // namespace

absl::StatusOr<FileIdentity> IdentityOf(const std::string& path) {
  struct statx info = {};
  if (statx(AT_FDCWD, path.c_str(), 0, STATX_INO | STATX_BTIME, &info) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot look at ", path, ": ", std::strerror(errno)));
  }
  FileIdentity identity;
  identity.inode = static_cast<int64_t>(info.stx_ino);
  if (info.stx_mask & STATX_BTIME) {
    identity.born_nanos =
        int64_t{info.stx_btime.tv_sec} * 1'000'000'000 + info.stx_btime.tv_nsec;
  }
  return identity;
}

absl::StatusOr<std::optional<FileIdentity>> IdentityIn(Sqlite& db) {
  SqliteStatement row = db.Query(
      "SELECT b.value, i.value FROM meta b JOIN meta i "
      "ON b.key = 'file_born' AND i.key = 'file_inode'");
  if (row.Step()) return FileIdentity{row.Int(0), row.Int(1)};
  RETURN_IF_ERROR(row.status());
  return std::nullopt;
}

absl::Status BeginLife(Sqlite& db, const std::string& path) {
  ASSIGN_OR_RETURN(FileIdentity file, IdentityOf(path));
  RETURN_IF_ERROR(db.Script("BEGIN IMMEDIATE"));
  absl::Status put = db.Run(
      "INSERT INTO meta(key, value) VALUES ('life', 1) "
      "ON CONFLICT(key) DO UPDATE SET value = value + 1");
  if (put.ok()) put = PutMeta(db, "file_born", file.born_nanos);
  if (put.ok()) put = PutMeta(db, "file_inode", file.inode);
  if (put.ok()) return db.Script("COMMIT");
  (void)db.Script("ROLLBACK");
  return put;
}

// The inode alone would do, were it not that some file systems number files
// anew when they are mounted.
bool IsSameFile(const FileIdentity& a, const FileIdentity& b) {
  if (a.born_nanos != 0 && b.born_nanos != 0) {
    return a.born_nanos == b.born_nanos;
  }
  return a.inode == b.inode;
}

}  // namespace midwatch
