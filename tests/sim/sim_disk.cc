#include "tests/sim/sim_disk.h"

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <new>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace midwatch::sim {
namespace {

constexpr int64_t kBlock = 4096;  // what a file remembers of its past, each
constexpr int64_t kSector = 512;  // what a disk writes whole or not at all
constexpr int kShmLocks = 8;      // SQLITE_SHM_NLOCK
constexpr int kPathMax = 512;

using Block = std::array<char, kBlock>;

// Shared memory of a database, for as long as one process runs.
struct SharedMemory {
  std::vector<std::unique_ptr<char[]>> regions;
  std::array<int, kShmLocks> shared = {};
  std::array<bool, kShmLocks> exclusive = {};
};

struct File {
  std::string bytes;
  // What the blocks that were written since the last sync held before.
  std::map<int64_t, Block> synced;
  int64_t synced_size = 0;

  int readers = 0;  // handles that hold SHARED or more
  bool reserved = false, exclusive = false;
  std::shared_ptr<SharedMemory> shm;

  int64_t size() const { return static_cast<int64_t>(bytes.size()); }

  void Remember(int64_t from, int64_t to) {
    for (int64_t block = from / kBlock; block * kBlock < to; ++block) {
      auto [it, added] = synced.try_emplace(block);
      if (!added) continue;
      const int64_t begin = block * kBlock;
      const int64_t known = std::clamp<int64_t>(size() - begin, 0, kBlock);
      std::copy_n(bytes.data() + std::min(begin, size()), known,
                  it->second.data());
      std::fill(it->second.begin() + known, it->second.end(), '\0');
    }
  }

  void Write(int64_t at, const char* data, int64_t n) {
    Remember(at, at + n);
    if (at + n > size()) bytes.resize(static_cast<size_t>(at + n));
    std::memcpy(bytes.data() + at, data, static_cast<size_t>(n));
  }

  void Truncate(int64_t to) {
    if (to < size()) Remember(to, size());
    bytes.resize(static_cast<size_t>(to));
  }

  void Sync() {
    synced.clear();
    synced_size = size();
  }

  void DropLocks() {
    readers = 0;
    reserved = exclusive = false;
    shm.reset();
  }
};

}  // namespace

struct SimDisk::Impl {
  explicit Impl(Random& dice) : random(dice) {}

  // Whether this write or sync is the one that fails.
  bool Fails() {
    if (power_in > 0 && --power_in == 0) {
      power_is_off = true;
      ++process;
      return true;
    }
    if (fail_in == 0 || --fail_in > 0) return false;
    ++counts.failed;
    return true;
  }

  void LosePower(File& file);

  Random& random;
  std::string name;
  sqlite3_vfs vfs = {};
  std::map<std::string, std::shared_ptr<File>> files;
  int64_t process = 1;  // handles of others are dead
  bool full = false;
  bool ignores_syncs = false;
  int fail_in = 0;   // 0: none does
  int power_in = 0;  // 0: it stays on
  bool power_is_off = false;
  DiskCounts counts;
};

// Each sector that was not synced is what it was or what it became, and a file
// is as long as it was or as it became.
void SimDisk::Impl::LosePower(File& file) {
  // From all to nothing: a machine that was busy, and one that was not.
  const double lost = random.Fraction();
  const int64_t written = file.size();
  const bool shrinks = written < file.synced_size;
  int64_t kept_end = file.synced_size;
  for (auto& [number, before] : file.synced) {
    for (int64_t at = 0; at < kBlock; at += kSector) {
      const int64_t begin = number * kBlock + at;
      if (begin >= std::max(written, file.synced_size)) break;
      if (random.Fraction() >= lost) {
        ++counts.kept_sectors;
        kept_end = std::max(kept_end, std::min(begin + kSector, written));
        continue;
      }
      ++counts.lost_sectors;
      if (begin >= written) continue;
      std::memcpy(file.bytes.data() + begin, before.data() + at,
                  static_cast<size_t>(std::min(kSector, written - begin)));
    }
  }
  if (shrinks) {
    if (random.Fraction() < lost) {
      // As if it had not been cut: what was cut off is still there.
      file.bytes.resize(static_cast<size_t>(file.synced_size));
      for (auto& [number, before] : file.synced) {
        const int64_t begin = std::max(number * kBlock, written);
        const int64_t end = std::min((number + 1) * kBlock, file.synced_size);
        if (begin >= end) continue;
        std::memcpy(file.bytes.data() + begin,
                    before.data() + (begin - number * kBlock),
                    static_cast<size_t>(end - begin));
      }
    }
  } else {
    file.bytes.resize(static_cast<size_t>(kept_end));
  }
  file.Sync();
}

namespace {

using Disk = SimDisk::Impl;

// What SQLite calls a file; it allocates the bytes.
struct Handle {
  sqlite3_file base;  // first: SQLite sees only this
  Disk* disk;
  std::shared_ptr<File> file;
  std::shared_ptr<SharedMemory> shm;
  int64_t process;
  int lock;
  std::array<bool, kShmLocks> shm_shared, shm_exclusive;

  bool Dead() const { return process != disk->process; }
};

Handle& Of(sqlite3_file* file) { return *reinterpret_cast<Handle*>(file); }

int Unlock(Handle& handle, int level) {
  if (handle.Dead() || handle.lock <= level) return SQLITE_OK;
  if (handle.lock == SQLITE_LOCK_EXCLUSIVE) handle.file->exclusive = false;
  if (handle.lock >= SQLITE_LOCK_RESERVED && level < SQLITE_LOCK_RESERVED) {
    handle.file->reserved = false;
  }
  if (level == SQLITE_LOCK_NONE) --handle.file->readers;
  handle.lock = level;
  return SQLITE_OK;
}

int Close(sqlite3_file* file) {
  Handle& handle = Of(file);
  Unlock(handle, SQLITE_LOCK_NONE);
  handle.~Handle();
  return SQLITE_OK;
}

int Read(sqlite3_file* file, void* out, int n, sqlite3_int64 at) {
  Handle& handle = Of(file);
  if (handle.Dead()) return SQLITE_IOERR_READ;
  const int64_t there = std::clamp<int64_t>(handle.file->size() - at, 0, n);
  std::memcpy(out, handle.file->bytes.data() + at, static_cast<size_t>(there));
  if (there == n) return SQLITE_OK;
  std::memset(static_cast<char*>(out) + there, 0,
              static_cast<size_t>(n - there));
  return SQLITE_IOERR_SHORT_READ;
}

int Write(sqlite3_file* file, const void* data, int n, sqlite3_int64 at) {
  Handle& handle = Of(file);
  if (handle.Dead()) return SQLITE_IOERR_WRITE;
  if (handle.disk->full && at + n > handle.file->size()) {
    ++handle.disk->counts.full;
    return SQLITE_FULL;
  }
  const bool fails = handle.disk->Fails();
  if (fails) n = static_cast<int>(handle.disk->random.Next() % (n + 1));
  ++handle.disk->counts.writes;
  handle.file->Write(at, static_cast<const char*>(data), n);
  return fails ? SQLITE_IOERR_WRITE : SQLITE_OK;
}

int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  Handle& handle = Of(file);
  if (handle.Dead()) return SQLITE_IOERR_TRUNCATE;
  handle.file->Truncate(size);
  return SQLITE_OK;
}

int Sync(sqlite3_file* file, int /*flags*/) {
  Handle& handle = Of(file);
  if (handle.Dead()) return SQLITE_IOERR_FSYNC;
  if (handle.disk->Fails()) return SQLITE_IOERR_FSYNC;
  ++handle.disk->counts.syncs;
  if (!handle.disk->ignores_syncs) handle.file->Sync();
  return SQLITE_OK;
}

int FileSize(sqlite3_file* file, sqlite3_int64* size) {
  if (Of(file).Dead()) return SQLITE_IOERR_FSTAT;
  *size = Of(file).file->size();
  return SQLITE_OK;
}

// SQLite asks for one level after the other, and never for PENDING.
int Lock(sqlite3_file* file, int level) {
  Handle& handle = Of(file);
  if (handle.Dead()) return SQLITE_IOERR_LOCK;
  if (handle.lock >= level) return SQLITE_OK;
  File& target = *handle.file;
  if (level == SQLITE_LOCK_SHARED) {
    if (target.exclusive) return SQLITE_BUSY;
    ++target.readers;
  } else if (level == SQLITE_LOCK_RESERVED) {
    if (target.reserved) return SQLITE_BUSY;
    target.reserved = true;
  } else {
    const bool mine = handle.lock >= SQLITE_LOCK_RESERVED;
    if (target.readers > 1 || (target.reserved && !mine)) return SQLITE_BUSY;
    target.exclusive = target.reserved = true;
  }
  handle.lock = level;
  return SQLITE_OK;
}

int UnlockTo(sqlite3_file* file, int level) { return Unlock(Of(file), level); }

int CheckReservedLock(sqlite3_file* file, int* reserved) {
  *reserved = Of(file).file->reserved;
  return SQLITE_OK;
}

int FileControl(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
int SectorSize(sqlite3_file*) { return static_cast<int>(kSector); }
// What lies beside a write survives it, as on the disks that SQLite expects.
int DeviceCharacteristics(sqlite3_file*) {
  return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

int ShmMap(sqlite3_file* file, int region, int size, int extend,
           void volatile** out) {
  Handle& handle = Of(file);
  *out = nullptr;
  if (handle.Dead()) return SQLITE_IOERR_SHMMAP;
  if (handle.shm == nullptr) {
    if (handle.file->shm == nullptr) {
      handle.file->shm = std::make_shared<SharedMemory>();
    }
    handle.shm = handle.file->shm;
  }
  auto& regions = handle.shm->regions;
  while (static_cast<int>(regions.size()) <= region) {
    if (!extend) return SQLITE_OK;
    regions.push_back(std::make_unique<char[]>(static_cast<size_t>(size)));
  }
  *out = regions[static_cast<size_t>(region)].get();
  return SQLITE_OK;
}

int ShmLock(sqlite3_file* file, int offset, int n, int flags) {
  Handle& handle = Of(file);
  if (handle.Dead() || handle.shm == nullptr) return SQLITE_IOERR_SHMLOCK;
  SharedMemory& shm = *handle.shm;
  const auto each = [&](auto act) {
    for (int i = offset; i < offset + n; ++i) act(static_cast<size_t>(i));
  };
  if (flags & SQLITE_SHM_UNLOCK) {
    each([&](size_t i) {
      if (std::exchange(handle.shm_shared[i], false)) --shm.shared[i];
      if (std::exchange(handle.shm_exclusive[i], false)) {
        shm.exclusive[i] = false;
      }
    });
    return SQLITE_OK;
  }
  bool busy = false;
  const bool exclusive = (flags & SQLITE_SHM_EXCLUSIVE) != 0;
  each([&](size_t i) {
    busy |= shm.exclusive[i] && !handle.shm_exclusive[i];
    busy |= exclusive && shm.shared[i] > (handle.shm_shared[i] ? 1 : 0);
  });
  if (busy) return SQLITE_BUSY;
  each([&](size_t i) {
    if (exclusive) {
      shm.exclusive[i] = handle.shm_exclusive[i] = true;
    } else if (!std::exchange(handle.shm_shared[i], true)) {
      ++shm.shared[i];
    }
  });
  return SQLITE_OK;
}

void ShmBarrier(sqlite3_file*) {}

int ShmUnmap(sqlite3_file* file, int remove) {
  Handle& handle = Of(file);
  if (!handle.Dead() && remove) handle.file->shm.reset();
  handle.shm.reset();
  return SQLITE_OK;
}

constexpr sqlite3_io_methods kMethods = {2,
                                         Close,
                                         Read,
                                         Write,
                                         Truncate,
                                         Sync,
                                         FileSize,
                                         Lock,
                                         UnlockTo,
                                         CheckReservedLock,
                                         FileControl,
                                         SectorSize,
                                         DeviceCharacteristics,
                                         ShmMap,
                                         ShmLock,
                                         ShmBarrier,
                                         ShmUnmap,
                                         nullptr,
                                         nullptr};

Disk& Of(sqlite3_vfs* vfs) { return *static_cast<Disk*>(vfs->pAppData); }

int Open(sqlite3_vfs* vfs, const char* name, sqlite3_file* out, int flags,
         int* out_flags) {
  Disk& disk = Of(vfs);
  std::memset(out, 0, sizeof(sqlite3_file));
  std::shared_ptr<File> file;
  if (name == nullptr) {
    file = std::make_shared<File>();  // temporary
  } else if (auto it = disk.files.find(name); it != disk.files.end()) {
    file = it->second;
  } else if (flags & SQLITE_OPEN_CREATE) {
    file = disk.files[name] = std::make_shared<File>();
  } else {
    return SQLITE_CANTOPEN;
  }
  new (out) Handle{{&kMethods},
                   &disk,
                   std::move(file),
                   nullptr,
                   disk.process,
                   SQLITE_LOCK_NONE,
                   {},
                   {}};
  if (out_flags != nullptr) *out_flags = flags;
  return SQLITE_OK;
}

// A name is gone for good at once: SQLite asks for the folder's sync with it.
int Delete(sqlite3_vfs* vfs, const char* name, int /*sync*/) {
  return Of(vfs).files.erase(name) > 0 ? SQLITE_OK : SQLITE_IOERR_DELETE_NOENT;
}

int Access(sqlite3_vfs* vfs, const char* name, int flags, int* result) {
  auto it = Of(vfs).files.find(name);
  *result = it != Of(vfs).files.end() &&
            (flags != SQLITE_ACCESS_EXISTS || it->second->size() > 0);
  return SQLITE_OK;
}

int FullPathname(sqlite3_vfs*, const char* name, int n, char* out) {
  if (static_cast<int>(std::strlen(name)) >= n) return SQLITE_CANTOPEN;
  std::strcpy(out, name);
  return SQLITE_OK;
}

int Randomness(sqlite3_vfs* vfs, int n, char* out) {
  for (int i = 0; i < n; ++i) out[i] = static_cast<char>(Of(vfs).random.Next());
  return n;
}

// One thread: whoever holds a lock does not go on while another waits for it.
int Sleep(sqlite3_vfs*, int micros) { return micros; }

int CurrentTime(sqlite3_vfs*, sqlite3_int64* millis) {
  *millis = 0;  // nothing of ours asks SQLite what time it is
  return SQLITE_OK;
}

}  // namespace

SimDisk::SimDisk(Random& random) : impl_(std::make_unique<Impl>(random)) {
  static int made = 0;
  impl_->name = absl::StrCat("midwatch-sim-", ++made);
  sqlite3_vfs& vfs = impl_->vfs;
  vfs.iVersion = 2;
  vfs.szOsFile = sizeof(Handle);
  vfs.mxPathname = kPathMax;
  vfs.zName = impl_->name.c_str();
  vfs.pAppData = impl_.get();
  vfs.xOpen = Open;
  vfs.xDelete = Delete;
  vfs.xAccess = Access;
  vfs.xFullPathname = FullPathname;
  vfs.xRandomness = Randomness;
  vfs.xSleep = Sleep;
  vfs.xCurrentTimeInt64 = CurrentTime;
  sqlite3_vfs_register(&vfs, 0);
}

SimDisk::~SimDisk() { sqlite3_vfs_unregister(&impl_->vfs); }

const std::string& SimDisk::vfs() const { return impl_->name; }

void SimDisk::KillProcess() {
  ++impl_->process;
  ++impl_->counts.kills;
  for (auto& [name, file] : impl_->files) file->DropLocks();
}

void SimDisk::LosePower() {
  KillProcess();
  --impl_->counts.kills;
  impl_->power_is_off = false;
  impl_->power_in = 0;
  ++impl_->counts.power_losses;
  for (auto& [name, file] : impl_->files) impl_->LosePower(*file);
}

void SimDisk::SetFull(bool full) { impl_->full = full; }

void SimDisk::FailOneOf(int within) {
  impl_->fail_in = 1 + static_cast<int>(impl_->random.Next() %
                                        static_cast<uint64_t>(within));
}

void SimDisk::LosePowerWithin(int within) {
  impl_->power_in = 1 + static_cast<int>(impl_->random.Next() %
                                         static_cast<uint64_t>(within));
}

void SimDisk::KeepPower() { impl_->power_in = 0; }

bool SimDisk::power_is_off() const { return impl_->power_is_off; }

void SimDisk::IgnoreSyncs() { impl_->ignores_syncs = true; }

const DiskCounts& SimDisk::counts() const { return impl_->counts; }

}  // namespace midwatch::sim
