// The tables, as numbered steps. A step that was released never changes; the
// next one follows it.
#ifndef MIDWATCH_STORE_SCHEMA_H_
#define MIDWATCH_STORE_SCHEMA_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/sqlite.h"

namespace midwatch {

// SQL scripts: applying steps[i] brings a database from version i to i + 1
// (PRAGMA user_version).
using SchemaSteps = std::vector<const char*>;

const SchemaSteps& QueueSchema();
const SchemaSteps& EventsSchema();

// Brings `db` to the newest version, each step in a transaction of its own.
//   kFailedPrecondition  it is newer than this program; nothing was changed
//   kDataLoss            it is no database of ours, or corrupt
absl::Status Migrate(Sqlite& db, const SchemaSteps& steps,
                     const std::string& path);

}  // namespace midwatch

#endif  // MIDWATCH_STORE_SCHEMA_H_
