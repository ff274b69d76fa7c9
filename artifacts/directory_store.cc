#include "artifacts/directory_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "base/fault_points.h"
#include "base/random.h"
#include "base/real_clock.h"
#include "base/sha256.h"
#include "base/status_macros.h"

namespace midwatch {
namespace {

constexpr absl::Duration kScratchLifetime = absl::Hours(24);

absl::Status ErrnoStatus(absl::string_view doing, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat(doing, " ", path));
}

class UniqueFd {
 public:
  explicit UniqueFd(int fd) : fd_(fd) {}
  ~UniqueFd() {
    if (fd_ >= 0) close(fd_);
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }

 private:
  int fd_;
};

// Whether the artifact's file is there; if so, it is as young as one that was
// stored now.
bool Touch(const std::string& name) {
  return utimensat(AT_FDCWD, name.c_str(), nullptr, 0) == 0;
}

bool IsOlder(const std::string& path, absl::Time before) {
  struct stat stat;
  return lstat(path.c_str(), &stat) == 0 && S_ISREG(stat.st_mode) &&
         absl::TimeFromTimespec(stat.st_mtim) < before;
}

// Removes a scratch file that did not become an artifact.
class ScratchRemover {
 public:
  explicit ScratchRemover(const std::string& path) : path_(path) {}
  // Where it became one, nothing has that path any more.
  ~ScratchRemover() { unlink(path_.c_str()); }
  ScratchRemover(const ScratchRemover&) = delete;
  ScratchRemover& operator=(const ScratchRemover&) = delete;

 private:
  const std::string path_;
};

absl::Status MakeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) {
    return absl::OkStatus();
  }
  return ErrnoStatus("cannot make the directory", path);
}

// What was created in, renamed into or removed from it survives a power loss.
absl::Status SyncDirectory(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.ok() || fsync(fd.get()) != 0) {
    return ErrnoStatus("cannot sync the directory", path);
  }
  return absl::OkStatus();
}

absl::Status WriteAll(int fd, absl::string_view bytes,
                      const std::string& path) {
  while (!bytes.empty()) {
    ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus("cannot write", path);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

// Names the bytes of the open file at `path`; what they are is also written to
// `copy`, where that is a descriptor.
absl::StatusOr<ArtifactRef> ReadWhole(int fd, const std::string& path,
                                      int copy) {
  ArtifactRef ref;
  Sha256 hash;
  constexpr size_t kBufferBytes = 128 << 10;
  const auto buffer = std::make_unique_for_overwrite<char[]>(kBufferBytes);
  while (true) {
    ssize_t n = read(fd, buffer.get(), kBufferBytes);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus("cannot read", path);
    if (n == 0) break;
    absl::string_view bytes(buffer.get(), static_cast<size_t>(n));
    hash.Update(bytes);
    ref.size_bytes += n;
    if (copy >= 0)
      RETURN_IF_ERROR(WriteAll(copy, bytes, "the copy of " + path));
  }
  ref.sha256 = hash.FinishHex();
  return ref;
}

int CreateScratch(const std::string& path) {
  return open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

}  // namespace

absl::StatusOr<ArtifactDirectory> ArtifactDirectory::Open(
    const std::string& root) {
  absl::string_view plain = root;
  while (plain.size() > 1 && absl::ConsumeSuffix(&plain, "/")) {
  }
  ArtifactDirectory directory{std::string(plain)};
  RETURN_IF_ERROR(directory.Prepare());
  return directory;
}

absl::Status ArtifactDirectory::Prepare() const {
  std::filesystem::path parent = std::filesystem::path(root_).parent_path();
  std::error_code error;
  if (!std::filesystem::exists(root_, error)) {
    std::filesystem::create_directories(parent, error);
    RETURN_IF_ERROR(MakeDirectory(root_));
    RETURN_IF_ERROR(SyncDirectory(parent.empty() ? "." : parent.string()));
  }
  RETURN_IF_ERROR(MakeDirectory(root_ + "/scratch"));
  // All of them now, so that storing a file never waits for the directory that
  // another call has made and not yet synced.
  for (int shard = 0; shard < 256; ++shard) {
    RETURN_IF_ERROR(MakeDirectory(absl::StrFormat("%s/%02x", root_, shard)));
  }
  RETURN_IF_ERROR(SyncDirectory(root_));

  absl::Time oldest = RealClock().Now() - kScratchLifetime;
  for (const auto& entry :
       std::filesystem::directory_iterator(root_ + "/scratch", error)) {
    struct stat stat;
    const std::string path = entry.path().string();
    if (lstat(path.c_str(), &stat) == 0 &&
        absl::TimeFromTimespec(stat.st_mtim) < oldest) {
      unlink(path.c_str());
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<ArtifactRef> ArtifactDirectory::PutBytes(
    absl::string_view bytes) const {
  ArtifactRef ref{Sha256Hex(bytes), static_cast<int64_t>(bytes.size())};
  if (Touch(NameOf(ref.sha256))) {
    RETURN_IF_ERROR(SyncDirectory(ShardOf(ref.sha256)));
    return ref;
  }
  const std::string scratch = ScratchPath();
  UniqueFd fd(CreateScratch(scratch));
  if (!fd.ok()) return ErrnoStatus("cannot create", scratch);
  ScratchRemover remover(scratch);
  RETURN_IF_ERROR(WriteAll(fd.get(), bytes, scratch));
  RETURN_IF_ERROR(Adopt(fd.get(), scratch, ref));
  return ref;
}

absl::StatusOr<ArtifactRef> ArtifactDirectory::PutFile(
    const std::string& path) const {
  // Not blocking: a FIFO would wait for its other end.
  UniqueFd from(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!from.ok()) return ErrnoStatus("cannot open", path);
  struct stat stat;
  if (fstat(from.get(), &stat) != 0 || !S_ISREG(stat.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot store ", path, ": no regular file"));
  }
  if (IsScratch(path)) {
    ASSIGN_OR_RETURN(ArtifactRef ref, ReadWhole(from.get(), path, -1));
    RETURN_IF_ERROR(Adopt(from.get(), path, ref));
    unlink(path.c_str());  // where the name was taken
    return ref;
  }
  const std::string scratch = ScratchPath();
  UniqueFd to(CreateScratch(scratch));
  if (!to.ok()) return ErrnoStatus("cannot create", scratch);
  ScratchRemover remover(scratch);
  ASSIGN_OR_RETURN(ArtifactRef ref, ReadWhole(from.get(), path, to.get()));
  RETURN_IF_ERROR(Adopt(to.get(), scratch, ref));
  return ref;
}

absl::Status ArtifactDirectory::Adopt(int fd, const std::string& scratch,
                                      const ArtifactRef& ref) const {
  const std::string name = NameOf(ref.sha256);
  // Where the name is taken, it has these bytes, synced.
  if (!Touch(name)) {
    if (fchmod(fd, 0444) != 0 || fsync(fd) != 0) {
      return ErrnoStatus("cannot sync", scratch);
    }
    FaultPoint("artifacts.store.before");
    if (rename(scratch.c_str(), name.c_str()) != 0) {
      return ErrnoStatus("cannot store", name);
    }
    FaultPoint("artifacts.store.after");
  }
  // In either case: whoever took the name may not have come this far.
  return SyncDirectory(ShardOf(ref.sha256));
}

absl::StatusOr<std::string> ArtifactDirectory::PathOf(
    absl::string_view sha256) const {
  if (!IsArtifactName(sha256)) {
    return absl::InvalidArgumentError(
        "the name of an artifact is 64 lower-case hexadecimal digits");
  }
  std::string name = NameOf(sha256);
  if (access(name.c_str(), F_OK) == 0) return name;
  if (errno != ENOENT) return ErrnoStatus("cannot find", name);
  return absl::NotFoundError(
      absl::StrCat("no artifact ", sha256, " in ", root_));
}

absl::Status ArtifactDirectory::Keep(absl::string_view sha256) const {
  ASSIGN_OR_RETURN(std::string name, PathOf(sha256));
  if (Touch(name)) return absl::OkStatus();
  // It went at this moment.
  return absl::NotFoundError(
      absl::StrCat("no artifact ", sha256, " in ", root_));
}

absl::StatusOr<int64_t> ArtifactDirectory::RemoveUnused(
    absl::Time before,
    absl::FunctionRef<bool(absl::string_view sha256)> is_used) const {
  int64_t removed = 0;
  for (int shard = 0; shard < 256; ++shard) {
    const std::string digits = absl::StrFormat("%02x", shard);
    std::error_code error;
    std::filesystem::directory_iterator entries(root_ + "/" + digits, error);
    if (error) {
      return absl::UnavailableError(
          absl::StrCat("cannot list ", root_, "/", digits));
    }
    for (const auto& entry : entries) {
      const std::string path = entry.path().string();
      const std::string sha256 = digits + entry.path().filename().string();
      if (!IsArtifactName(sha256) || !IsOlder(path, before) ||
          is_used(sha256)) {
        continue;
      }
      // Out of the way first: whoever stores it from here on stores it anew,
      // and who has kept it just before is seen, and gets it back.
      const std::string scratch = ScratchPath();
      if (rename(path.c_str(), scratch.c_str()) != 0) continue;
      if (!IsOlder(scratch, before)) {
        (void)rename(scratch.c_str(), path.c_str());
        continue;
      }
      unlink(scratch.c_str());
      ++removed;
    }
  }
  return removed;
}

std::string ArtifactDirectory::ScratchPath() const {
  return absl::StrCat(root_, "/scratch/", RealRandom().Hex(16));
}

bool ArtifactDirectory::IsScratch(const std::string& path) const {
  absl::string_view rest = path;
  const std::string scratch = root_ + "/scratch/";
  if (!absl::StartsWith(rest, scratch)) return false;
  rest.remove_prefix(scratch.size());
  // A link is not moved: what it points to may change.
  struct stat stat;
  return !absl::StrContains(rest, '/') && lstat(path.c_str(), &stat) == 0 &&
         S_ISREG(stat.st_mode);
}

std::string ArtifactDirectory::ShardOf(absl::string_view sha256) const {
  return absl::StrCat(root_, "/", sha256.substr(0, 2));
}

std::string ArtifactDirectory::NameOf(absl::string_view sha256) const {
  return absl::StrCat(ShardOf(sha256), "/", sha256.substr(2));
}

namespace {

class DirectoryArtifactStore final : public ArtifactStore {
 public:
  DirectoryArtifactStore(ArtifactDirectory directory, BlockingPool& pool,
                         Executor& executor)
      : directory_(
            std::make_shared<const ArtifactDirectory>(std::move(directory))),
        pool_(pool),
        executor_(executor) {}

  Async<absl::StatusOr<ArtifactRef>> PutBytes(std::string bytes) override {
    absl::AnyInvocable<absl::StatusOr<ArtifactRef>()> work =
        [directory = directory_, bytes = std::move(bytes)] {
          return directory->PutBytes(bytes);
        };
    co_return co_await RunBlocking<absl::StatusOr<ArtifactRef>>(
        pool_, executor_, std::move(work));
  }

  Async<absl::StatusOr<ArtifactRef>> PutFile(std::string path) override {
    absl::AnyInvocable<absl::StatusOr<ArtifactRef>()> work =
        [directory = directory_, path = std::move(path)] {
          return directory->PutFile(path);
        };
    co_return co_await RunBlocking<absl::StatusOr<ArtifactRef>>(
        pool_, executor_, std::move(work));
  }

  Async<absl::StatusOr<std::string>> LocalPath(std::string sha256) override {
    absl::AnyInvocable<absl::StatusOr<std::string>()> work =
        [directory = directory_, sha256 = std::move(sha256)] {
          return directory->PathOf(sha256);
        };
    co_return co_await RunBlocking<absl::StatusOr<std::string>>(
        pool_, executor_, std::move(work));
  }

  std::string ScratchPath() override { return directory_->ScratchPath(); }

 private:
  // Shared with work on the pool, which may outlast the store.
  const std::shared_ptr<const ArtifactDirectory> directory_;
  BlockingPool& pool_;
  Executor& executor_;
};

}  // namespace

std::unique_ptr<ArtifactStore> MakeDirectoryArtifactStore(
    ArtifactDirectory directory, BlockingPool& pool, Executor& executor) {
  return std::make_unique<DirectoryArtifactStore>(std::move(directory), pool,
                                                  executor);
}

}  // namespace midwatch
