// A disk in memory, under SQLite: it knows which writes were synced, so that a
// power loss can drop or tear the others, and it fails and fills up on demand.
//
//   SimDisk disk(random);
//   SqliteOptions options{.vfs = disk.vfs()};
//   disk.KillProcess();   // files stay as written; handles are dead
//   disk.LosePower();     // and what was not synced is lost, sector by sector
//
// One process at a time has files open on it. A handle of an earlier one does
// nothing any more and answers with I/O errors, so destructors of what a crash
// left behind change nothing.
#ifndef MIDWATCH_TESTS_SIM_SIM_DISK_H_
#define MIDWATCH_TESTS_SIM_SIM_DISK_H_

#include <cstdint>
#include <memory>
#include <string>

#include "base/random.h"

namespace midwatch::sim {

struct DiskCounts {
  int64_t writes = 0;
  int64_t syncs = 0;
  int64_t kills = 0;
  int64_t power_losses = 0;
  int64_t lost_sectors = 0;  // written, never synced, gone after a power loss
  int64_t kept_sectors = 0;  // the same, there after all
  int64_t failed = 0;        // writes and syncs that were made to fail
  int64_t full = 0;          // writes for which there was no room
};

class SimDisk {
 public:
  // `random` outlives it.
  explicit SimDisk(Random& random);
  ~SimDisk();
  SimDisk(const SimDisk&) = delete;
  SimDisk& operator=(const SimDisk&) = delete;

  // The name under which SQLite finds it.
  const std::string& vfs() const;

  void KillProcess();
  void LosePower();

  // No file can grow while it is full.
  void SetFull(bool full);
  // One of the next `within` writes and syncs fails, once, as a broken cable
  // makes it fail: what it wrote, or was to sync, may or may not be there.
  void FailOneOf(int within);
  // The power goes at one of the next `within` writes and syncs, in the middle
  // of whatever they are a part of. Nothing works from there on, until
  // LosePower has said what is left.
  void LosePowerWithin(int within);
  // It does not, after all.
  void KeepPower();
  bool power_is_off() const;
  // From now on a sync does nothing and says that it did: a disk that lies.
  void IgnoreSyncs();

  const DiskCounts& counts() const;

  struct Impl;  // SQLite's way to it

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace midwatch::sim

#endif  // MIDWATCH_TESTS_SIM_SIM_DISK_H_
