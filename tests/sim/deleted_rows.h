// What the models of deletions share: the scheduler's rhythm, and what they
// read of the database, its tables by their columns, whatever they are, and the
// files that its tasks name.
#ifndef MIDWATCH_TESTS_SIM_DELETED_ROWS_H_
#define MIDWATCH_TESTS_SIM_DELETED_ROWS_H_

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/sqlite.h"

namespace midwatch::sim {

// A scheduler looks each hour for what its rules let go, and says so.
inline constexpr absl::Duration kLookedAtWithin = absl::Minutes(65);
inline constexpr char kByRule[] = "older than the scheduler keeps";

// The first column of its first row; 0: there is none.
int64_t FirstOf(SqliteStatement row);

// How many rows of the table have this value in that column.
int64_t RowsOf(Sqlite& db, const std::string& table, const std::string& column,
               int64_t value);

// Every table with a column of this name.
std::vector<std::string> TablesWith(Sqlite& db, const std::string& column);

// Tells of each table in which a row of the task is left, but for creates that
// may show yet, a key that it held for a time that is past, and its request,
// which is not to run again.
void FindRowsOfTask(Sqlite& db, int64_t task,
                    const std::function<void(std::string)>& found);

// What a row says of a task's files: its line, what it was given, and its end,
// in these columns.
void AddFiles(const SqliteStatement& row, int line, int given, int ending,
              std::set<std::string>& files);

}  // namespace midwatch::sim

#endif  // MIDWATCH_TESTS_SIM_DELETED_ROWS_H_
