// A connection to an SQLite database: prepared statements with bound values,
// errors as Status, nothing else. The queue's store and the harness both stand
// on it.
#ifndef MIDWATCH_BASE_SQLITE_H_
#define MIDWATCH_BASE_SQLITE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct sqlite3;
struct sqlite3_stmt;

namespace midwatch {

struct SqliteOptions {
  bool read_only = false;
  // FULL: a commit is durable when it returns. The fsync is what "acknowledged"
  // rests on.
  bool synchronous_full = true;
  int cache_kib = 64 * 1024;
  int busy_timeout_millis = 5000;
  // A registered VFS; empty is the default. The simulator's tears and forgets.
  std::string vfs;
};

// A prepared statement, bound and stepped. Returned by Sqlite::Query, reset
// when it goes; the connection outlives it. Columns and parameters count from
// 0.
//
//   SqliteStatement row = db.Query("SELECT a FROM t WHERE id = ?", id);
//   while (row.Step()) Use(row.Int(0));
//   RETURN_IF_ERROR(row.status());
struct SqliteBlob;

class SqliteStatement {
 public:
  SqliteStatement(SqliteStatement&& other) noexcept;
  ~SqliteStatement();

  // True when a row is there to be read. False at the end or on an error, which
  // status() tells apart.
  bool Step();
  const absl::Status& status() const { return status_; }

  int64_t Int(int column) const;
  double Real(int column) const;
  std::string Text(int column) const;  // bytes too; NULL is empty
  bool IsNull(int column) const;

 private:
  friend class Sqlite;
  // Whether bound bytes are copied, or live until the statement goes.
  enum class Bytes { kCopied, kBorrowed };
  SqliteStatement(sqlite3* db, sqlite3_stmt* stmt, Bytes bytes,
                  absl::Status status);
  // A value that cannot be bound fails the statement, as does a parameter that
  // got none.
  void CheckCount(int values);
  void CheckBound(int code);
  void Bind(int index, std::nullptr_t);
  void Bind(int index, int64_t value);
  void Bind(int index, int value) { Bind(index, int64_t{value}); }
  void Bind(int index, double value);
  void Bind(int index, absl::string_view text);
  void Bind(int index, const std::string& text) {
    Bind(index, absl::string_view(text));
  }
  void Bind(int index, const SqliteBlob& blob);
  void Bind(int index, const char* text) {
    Bind(index, absl::string_view(text));
  }

  sqlite3* db_;
  sqlite3_stmt* stmt_;
  Bytes bytes_;
  absl::Status status_;
};

// Bytes to be stored as a BLOB; std::string binds as TEXT. Holds a view.
struct SqliteBlob {
  absl::string_view bytes;
};

// NULL where `present` is false.
template <typename T>
struct SqliteNullable {
  bool present;
  T value;
};

// Not thread-safe: one thread at a time.
class Sqlite {
 public:
  // Opens or (unless read_only) creates the database at `path` in WAL mode.
  //   kDataLoss            not a database, or corrupt
  //   kFailedPrecondition  cannot be opened (missing, no permission)
  static absl::StatusOr<std::unique_ptr<Sqlite>> Open(
      const std::string& path, const SqliteOptions& options = {});
  ~Sqlite();
  Sqlite(const Sqlite&) = delete;
  Sqlite& operator=(const Sqlite&) = delete;

  // Prepares (once per text) and binds. Only string literals: values are bound,
  // never pasted. One live statement per text at a time.
  template <typename... Args>
  SqliteStatement Query(const char* sql, const Args&... args) {
    // Copied: a caller may pass a temporary, which is gone before the first
    // step.
    return Bound(sql, SqliteStatement::Bytes::kCopied, args...);
  }

  // Runs a statement to its end and drops its rows.
  template <typename... Args>
  absl::Status Run(const char* sql, const Args&... args) {
    SqliteStatement statement =
        Bound(sql, SqliteStatement::Bytes::kBorrowed, args...);
    while (statement.Step()) {
    }
    return statement.status();
  }

  // Several statements, separated by semicolons, without parameters.
  absl::Status Script(const std::string& sql);

  int64_t last_insert_id() const;
  // Rows changed by the last INSERT, UPDATE or DELETE.
  int64_t changes() const;
  // Rows changed since the connection was opened, rolled back ones included.
  int64_t total_changes() const;
  // False while a transaction is open. After an error inside one it tells
  // whether SQLite has rolled everything back.
  bool autocommit() const;
  sqlite3* raw() { return db_; }

 private:
  explicit Sqlite(sqlite3* db) : db_(db) {}
  SqliteStatement Prepare(const char* sql, SqliteStatement::Bytes bytes);

  template <typename... Args>
  SqliteStatement Bound(const char* sql, SqliteStatement::Bytes bytes,
                        const Args&... args) {
    SqliteStatement statement = Prepare(sql, bytes);
    if (statement.status_.ok()) {
      int index = 1;
      (BindOne(statement, index++, args), ...);
      statement.CheckCount(static_cast<int>(sizeof...(args)));
    }
    return statement;
  }

  template <typename T>
  static void BindOne(SqliteStatement& statement, int index, const T& value) {
    statement.Bind(index, value);
  }
  template <typename T>
  static void BindOne(SqliteStatement& statement, int index,
                      const SqliteNullable<T>& value) {
    if (value.present) {
      BindOne(statement, index, value.value);
    } else {
      statement.Bind(index, nullptr);
    }
  }

  sqlite3* db_;
  // By the literal's address: a look-up costs no hashing of the text.
  std::unordered_map<const void*, sqlite3_stmt*> statements_;
};

}  // namespace midwatch

#endif  // MIDWATCH_BASE_SQLITE_H_
