// The harness's own SQLite file (`harness.db`; docs/harness-log.md is the
// contract for those who read it from outside): schema, transactions, and the
// two things that every row needs: an id and a time.
#ifndef MIDWATCH_HARNESS_DATABASE_H_
#define MIDWATCH_HARNESS_DATABASE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/sqlite.h"

namespace midwatch::harness {

// Used on the harness's executor. A commit is one fsync on its thread: what
// belongs together is written in one transaction.
class Database {
 public:
  // Opens or creates the file at `path`. `clock` and `random` must outlive it.
  //   kFailedPrecondition  written by a newer release, or not to be opened
  //   kDataLoss            corrupt
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& path,
                                                        const Clock& clock,
                                                        Random& random);

  Sqlite& sql() { return *sql_; }

  // How often the file has been opened, this time included: from 1.
  int64_t start() const { return start_; }

  // The time in microseconds since the epoch, later than any given before, also
  // by an earlier process: rows have an order even where the clock steps back.
  int64_t Stamp();

  // A new id such as `sesn_...`. Ids begin with their time, so that they are
  // neighbours in an index; nobody may rely on that.
  std::string NewId(absl::string_view prefix);

  // Runs `body` in a transaction: durable when OK is returned, undone
  // otherwise.
  absl::Status Transact(absl::FunctionRef<absl::Status()> body);

 private:
  Database(std::unique_ptr<Sqlite> sql, const Clock& clock, Random& random)
      : sql_(std::move(sql)), clock_(clock), random_(random) {}
  absl::Status Migrate();

  std::unique_ptr<Sqlite> sql_;
  const Clock& clock_;
  Random& random_;
  int64_t last_stamp_ = 0;
  int64_t start_ = 0;
};

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_DATABASE_H_
