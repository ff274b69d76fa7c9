#ifndef MIDWATCH_STORE_FILE_IDENTITY_H_
#define MIDWATCH_STORE_FILE_IDENTITY_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/sqlite.h"

namespace midwatch {

// What tells a file from a copy of it on the same or another disk. A snapshot
// of a whole disk has the same.
struct FileIdentity {
  int64_t born_nanos = 0;  // since the epoch; 0: the file system does not say
  int64_t inode = 0;
};

absl::StatusOr<FileIdentity> IdentityOf(const std::string& path);

// Which file a queue's database is, by its own word; nothing where it was not
// opened by a release that keeps it.
absl::StatusOr<std::optional<FileIdentity>> IdentityIn(Sqlite& db);

// Begins another life of the queue (see SqliteStoreOptions::moved): from now on
// its database is the file at `path`.
absl::Status BeginLife(Sqlite& db, const std::string& path);

// Renaming keeps a file the same, wherever in its file system it goes.
bool IsSameFile(const FileIdentity& a, const FileIdentity& b);

}  // namespace midwatch

#endif  // MIDWATCH_STORE_FILE_IDENTITY_H_
