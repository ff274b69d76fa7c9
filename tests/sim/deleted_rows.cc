#include "tests/sim/deleted_rows.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "midwatch/v1/task.pb.h"
#include "midwatch/v1/worker_service.pb.h"

namespace midwatch::sim {
namespace {

// A statement's text has to stay.
SqliteStatement QueryText(Sqlite& db, std::string sql, int64_t value) {
  static auto* texts = new std::set<std::string>();
  return db.Query(texts->insert(std::move(sql)).first->c_str(), value);
}

void AddInputs(const v1::TaskLine& line, std::set<std::string>& files) {
  for (const v1::Input& input : line.inputs()) files.insert(input.sha256());
}

}  // namespace

int64_t FirstOf(SqliteStatement row) { return row.Step() ? row.Int(0) : 0; }

int64_t RowsOf(Sqlite& db, const std::string& table, const std::string& column,
               int64_t value) {
  return FirstOf(QueryText(
      db,
      absl::StrCat("SELECT count(*) FROM ", table, " WHERE ", column, " = ?"),
      value));
}

std::vector<std::string> TablesWith(Sqlite& db, const std::string& column) {
  std::vector<std::string> tables;
  SqliteStatement row = db.Query(
      "SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c "
      "WHERE m.type = 'table' AND c.name = ? ORDER BY m.name",
      column);
  while (row.Step()) tables.push_back(row.Text(0));
  return tables;
}

void FindRowsOfTask(Sqlite& db, int64_t task,
                    const std::function<void(std::string)>& found) {
  for (const std::string& table : TablesWith(db, "task")) {
    if (table == "create_try" || table == "unique_key" ||
        table == "request_log") {
      continue;
    }
    const int64_t left = RowsOf(db, table, "task", task);
    if (left > 0) found(absl::StrCat(left, " rows of ", table));
  }
  if (FirstOf(db.Query("SELECT count(*) FROM unique_key "
                       "WHERE task = ? AND until IS NULL",
                       task)) > 0) {
    found("its unique key");
  }
}

void AddFiles(const SqliteStatement& row, int line, int given, int ending,
              std::set<std::string>& files) {
  v1::TaskLine lines[2];
  v1::Ending left;
  if (lines[0].ParseFromString(row.Text(line))) AddInputs(lines[0], files);
  if (lines[1].ParseFromString(row.Text(given))) AddInputs(lines[1], files);
  if (left.ParseFromString(row.Text(ending))) {
    files.insert(left.final_message_sha256());
    for (const v1::Output& each : left.outputs()) files.insert(each.sha256());
  }
  files.erase("");
}

}  // namespace midwatch::sim
