#include "base/sqlite.h"

#include <sqlite3.h>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace midwatch {
namespace {

absl::Status ToStatus(sqlite3* db, int code, absl::string_view what) {
  std::string message = absl::StrCat(
      what, ": ", db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code));
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::UnavailableError(message);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(message);
    case SQLITE_FULL:
      // Others may make room, and what waits for it is to be tried again.
      return absl::UnavailableError(message);
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return absl::FailedPreconditionError(message);
    case SQLITE_CONSTRAINT:
      return code == SQLITE_CONSTRAINT_UNIQUE ||
                     code == SQLITE_CONSTRAINT_PRIMARYKEY ||
                     code == SQLITE_CONSTRAINT_ROWID
                 ? absl::AlreadyExistsError(message)
                 : absl::InternalError(message);
    case SQLITE_IOERR:
      return absl::DataLossError(message);
    default:
      return absl::InternalError(message);
  }
}

constexpr int kPageBytes = 4096;
// The page that holds SQLite's lock bytes, at 1 GiB: never read or written.
constexpr unsigned kLockPage = (1u << 30) / kPageBytes + 1;

// What SQLite has for pages in memory.
sqlite3_pcache_methods2 page_cache;

// Where a page is split and others of it are put in order, SQLite gives one of
// them, for a moment, the number of the lock page. Its cache then takes that
// for the largest number that it holds, and each commit walks the whole cache
// for pages behind the end of the file: a fifth of a writer's time with 64 MiB.
// Number 0, which no page has either, does as well.
void Rekey(sqlite3_pcache* cache, sqlite3_pcache_page* page, unsigned from,
           unsigned to) {
  auto number = [](unsigned n) { return n == kLockPage ? 0 : n; };
  page_cache.xRekey(cache, page, number(from), number(to));
}

int Configure() {
  // SQLite counts the memory that it holds under a lock, at every allocation,
  // and Debian's has no lookaside buffers that would spare it most of them.
  // Nobody asks for the count.
  int code = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  if (code != SQLITE_OK) return code;
  code = sqlite3_config(SQLITE_CONFIG_GETPCACHE2, &page_cache);
  if (code != SQLITE_OK) return code;
  sqlite3_pcache_methods2 methods = page_cache;
  methods.xRekey = Rekey;
  return sqlite3_config(SQLITE_CONFIG_PCACHE2, &methods);
}

// Without effect where SQLite is in use already.
void ConfigureOnce() {
  static const int code = Configure();
  (void)code;
}

// Rekey knows one size of pages.
absl::Status CheckPageSize(Sqlite& db, const std::string& path) {
  SqliteStatement row = db.Query("PRAGMA page_size");
  if (!row.Step()) return row.status();
  if (row.Int(0) == kPageBytes) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(path, " has pages of ", row.Int(0), " bytes; expected ",
                   kPageBytes, ", which all of Midwatch's databases have"));
}

}  // namespace

SqliteStatement::SqliteStatement(sqlite3* db, sqlite3_stmt* stmt, Bytes bytes,
                                 absl::Status status)
    : db_(db), stmt_(stmt), bytes_(bytes), status_(std::move(status)) {}

SqliteStatement::SqliteStatement(SqliteStatement&& other) noexcept
    : db_(other.db_),
      stmt_(std::exchange(other.stmt_, nullptr)),
      bytes_(other.bytes_),
      status_(std::move(other.status_)) {}

SqliteStatement::~SqliteStatement() {
  if (stmt_ == nullptr) return;
  sqlite3_reset(stmt_);
  sqlite3_clear_bindings(stmt_);
}

bool SqliteStatement::Step() {
  if (!status_.ok()) return false;
  int code = sqlite3_step(stmt_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) status_ = ToStatus(db_, code, sqlite3_sql(stmt_));
  return false;
}

int64_t SqliteStatement::Int(int column) const {
  return sqlite3_column_int64(stmt_, column);
}

double SqliteStatement::Real(int column) const {
  return sqlite3_column_double(stmt_, column);
}

std::string SqliteStatement::Text(int column) const {
  const void* bytes = sqlite3_column_blob(stmt_, column);
  if (bytes == nullptr) return "";
  return std::string(static_cast<const char*>(bytes),
                     static_cast<size_t>(sqlite3_column_bytes(stmt_, column)));
}

bool SqliteStatement::IsNull(int column) const {
  return sqlite3_column_type(stmt_, column) == SQLITE_NULL;
}

void SqliteStatement::CheckBound(int code) {
  if (code != SQLITE_OK && status_.ok()) {
    status_ = ToStatus(db_, code, sqlite3_sql(stmt_));
  }
}

void SqliteStatement::CheckCount(int values) {
  if (status_.ok() && values != sqlite3_bind_parameter_count(stmt_)) {
    status_ = absl::InternalError(
        absl::StrCat(sqlite3_sql(stmt_), ": bound ", values, " of ",
                     sqlite3_bind_parameter_count(stmt_), " parameters"));
  }
}

void SqliteStatement::Bind(int index, std::nullptr_t) {
  CheckBound(sqlite3_bind_null(stmt_, index));
}
void SqliteStatement::Bind(int index, int64_t value) {
  CheckBound(sqlite3_bind_int64(stmt_, index, value));
}
void SqliteStatement::Bind(int index, double value) {
  CheckBound(sqlite3_bind_double(stmt_, index, value));
}
void SqliteStatement::Bind(int index, absl::string_view text) {
  CheckBound(sqlite3_bind_text64(
      stmt_, index, text.data() ? text.data() : "", text.size(),
      bytes_ == Bytes::kCopied ? SQLITE_TRANSIENT : SQLITE_STATIC,
      SQLITE_UTF8));
}
void SqliteStatement::Bind(int index, const SqliteBlob& blob) {
  CheckBound(sqlite3_bind_blob64(
      stmt_, index, blob.bytes.data() ? blob.bytes.data() : "",
      blob.bytes.size(),
      bytes_ == Bytes::kCopied ? SQLITE_TRANSIENT : SQLITE_STATIC));
}

absl::StatusOr<std::unique_ptr<Sqlite>> Sqlite::Open(
    const std::string& path, const SqliteOptions& options) {
  ConfigureOnce();
  sqlite3* raw = nullptr;
  int flags = options.read_only ? SQLITE_OPEN_READONLY
                                : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  int code =
      sqlite3_open_v2(path.c_str(), &raw, flags | SQLITE_OPEN_NOMUTEX,
                      options.vfs.empty() ? nullptr : options.vfs.c_str());
  std::unique_ptr<Sqlite> db(new Sqlite(raw));
  if (code != SQLITE_OK) {
    return ToStatus(raw, code, absl::StrCat("cannot open ", path));
  }
  sqlite3_extended_result_codes(raw, 1);
  // Plans do not depend on the values that are bound: a statement whose plan
  // might is prepared anew each time that it is used, which costs more than the
  // statement itself.
  code = sqlite3_db_config(raw, SQLITE_DBCONFIG_ENABLE_QPSG, 1, nullptr);
  if (code != SQLITE_OK) return ToStatus(raw, code, "stable plans");
  sqlite3_busy_timeout(raw, options.busy_timeout_millis);
  std::string pragmas =
      absl::StrCat("PRAGMA cache_size=-", options.cache_kib,
                   ";PRAGMA secure_delete=OFF;PRAGMA temp_store=MEMORY;");
  if (!options.read_only) {
    absl::StrAppend(&pragmas, "PRAGMA journal_mode=WAL;PRAGMA synchronous=",
                    options.synchronous_full ? "FULL" : "NORMAL", ";");
  }
  absl::Status status = db->Script(pragmas);
  if (!status.ok()) {
    return absl::Status(status.code(),
                        absl::StrCat(path, ": ", status.message()));
  }
  RETURN_IF_ERROR(CheckPageSize(*db, path));
  return db;
}

Sqlite::~Sqlite() {
  for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(db_);
}

SqliteStatement Sqlite::Prepare(const char* sql, SqliteStatement::Bytes bytes) {
  sqlite3_stmt*& statement = statements_[sql];
  if (statement == nullptr) {
    int code = sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT,
                                  &statement, nullptr);
    if (code != SQLITE_OK) {
      return SqliteStatement(db_, nullptr, bytes, ToStatus(db_, code, sql));
    }
  }
  return SqliteStatement(db_, statement, bytes, absl::OkStatus());
}

absl::Status Sqlite::Script(const std::string& sql) {
  int code = sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return ToStatus(db_, code, "SQL script");
  return absl::OkStatus();
}

int64_t Sqlite::last_insert_id() const {
  return sqlite3_last_insert_rowid(db_);
}
int64_t Sqlite::changes() const { return sqlite3_changes64(db_); }
int64_t Sqlite::total_changes() const { return sqlite3_total_changes64(db_); }
bool Sqlite::autocommit() const { return sqlite3_get_autocommit(db_) != 0; }

}  // namespace midwatch
