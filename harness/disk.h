// The harness's data directory and the files in it. Everything here blocks:
// call it on a BlockingPool (or at start).
//
//   harness.db           docs/harness-log.md
//   lock                 held while a harness uses the directory
//   files/<file id>      the bytes of files
//   sessions/<id>/       what a session's sandbox shows (sandbox.h)
//   spool/               request bodies on their way in
#ifndef MIDWATCH_HARNESS_DISK_H_
#define MIDWATCH_HARNESS_DISK_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/process.h"

namespace midwatch::harness {

struct DataDir {
  std::string root;
  std::string files() const { return root + "/files"; }
  std::string sessions() const { return root + "/sessions"; }
  std::string spool() const { return root + "/spool"; }
  std::string session(const std::string& id) const {
    return sessions() + "/" + id;
  }
};

// Makes the directory and takes its lock, which holds while the result lives.
//   kFailedPrecondition  another process has it, or it cannot be made
absl::StatusOr<OwnedFd> LockDataDir(const DataDir& dir);

// Removes what a killed harness left half done: entries of `dir` whose names
// are not in `keep`.
absl::Status RemoveOthers(const std::string& dir,
                          const std::set<std::string>& keep);

// Removes a file or a whole tree; none there is OK.
absl::Status RemoveTree(const std::string& path);

struct StoredFile {
  std::string sha256;
  int64_t size_bytes = 0;
};
// Writes `bytes` to a new file at `path`; durable when it returns.
absl::StatusOr<StoredFile> StoreBytes(absl::string_view bytes,
                                      const std::string& path);

// Makes `copies` of the file at each first path, under the second one, as hard
// links in `dir`; durable when it returns.
absl::Status StoreLinks(
    const std::string& dir,
    const std::vector<std::pair<std::string, std::string>>& copies);

// Puts the files at the first paths into `uploads_dir` under the second,
// relative ones. What is there already is left.
absl::Status MountUploads(
    const std::string& uploads_dir,
    const std::vector<std::pair<std::string, std::string>>& mounts);

struct OutputFile {
  std::string name;  // relative to the outputs directory
  std::string path;  // where its bytes were stored
  StoredFile stored;
};
struct OutputLimits {
  int files_max = 1000;
  int64_t bytes_max = int64_t{500} << 20;  // of one file
};
// Stores every regular file under `outputs_dir` whose hash is not the one in
// `known` (by name), under new paths beginning with `store_prefix`. Links and
// other special files are passed over. What is over the limits or cannot be
// read is too, and counted in `skipped`. No process may write there meanwhile.
absl::StatusOr<std::vector<OutputFile>> CollectOutputs(
    const std::string& outputs_dir,
    const std::map<std::string, std::string>& known,
    const std::string& store_prefix, const OutputLimits& limits, int& skipped);

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_DISK_H_
