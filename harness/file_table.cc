#include "harness/file_table.h"

#include <utility>

#include "absl/strings/match.h"
#include "base/status_macros.h"
#include "harness/api_error.h"

namespace midwatch::harness {
namespace {

#define FILE_COLUMNS                                                       \
  "id, filename, mime_type, size_bytes, sha256, downloadable, session_id," \
  " created_at, expires_at"

File ReadFile(const SqliteStatement& row) {
  File file;
  file.id = row.Text(0);
  file.filename = row.Text(1);
  file.mime_type = row.Text(2);
  file.size_bytes = row.Int(3);
  file.sha256 = row.Text(4);
  file.downloadable = row.Int(5) != 0;
  file.session_id = row.Text(6);
  file.created_at = row.Int(7);
  if (!row.IsNull(8)) file.expires_at = row.Int(8);
  return file;
}

absl::StatusOr<std::vector<File>> ReadFiles(SqliteStatement row) {
  std::vector<File> files;
  while (row.Step()) files.push_back(ReadFile(row));
  RETURN_IF_ERROR(row.status());
  return files;
}

}  // namespace

Json ToJson(const File& file) {
  Json scope;
  if (!file.session_id.empty()) {
    scope = {{"type", "session"}, {"id", file.session_id}};
  }
  return {{"id", file.id},
          {"type", "file"},
          {"filename", file.filename},
          {"mime_type", file.mime_type},
          {"size_bytes", file.size_bytes},
          {"created_at", FormatMicros(file.created_at)},
          {"downloadable", file.downloadable},
          {"expires_at", MicrosOrNull(file.expires_at)},
          {"scope", std::move(scope)}};
}

std::string MimeTypeOf(const std::string& filename) {
  static constexpr std::pair<const char*, const char*> kTypes[] = {
      {".txt", "text/plain"},      {".log", "text/plain"},
      {".md", "text/markdown"},    {".csv", "text/csv"},
      {".html", "text/html"},      {".json", "application/json"},
      {".pdf", "application/pdf"}, {".zip", "application/zip"},
      {".gz", "application/gzip"}, {".tar", "application/x-tar"},
      {".png", "image/png"},       {".jpg", "image/jpeg"},
      {".svg", "image/svg+xml"},
  };
  for (const auto& [ending, type] : kTypes) {
    if (absl::EndsWithIgnoreCase(filename, ending)) return type;
  }
  return "application/octet-stream";
}

absl::StatusOr<File> FileTable::Get(const std::string& id) {
  SqliteStatement row =
      db_.sql().Query("SELECT " FILE_COLUMNS " FROM file WHERE id = ?", id);
  if (row.Step()) {
    File file = ReadFile(row);
    if (!file.expires_at || *file.expires_at > db_.Stamp()) return file;
  }
  RETURN_IF_ERROR(row.status());
  return NoSuch("file", id);
}

absl::Status FileTable::Insert(const File& file) {
  return db_.sql().Run(
      "INSERT INTO file(" FILE_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
      file.id, file.filename, file.mime_type, file.size_bytes, file.sha256,
      file.downloadable ? 1 : 0, file.session_id, file.created_at,
      SqliteNullable<int64_t>{file.expires_at.has_value(),
                              file.expires_at.value_or(0)});
}

absl::Status FileTable::Delete(const std::string& id) {
  return db_.sql().Run("DELETE FROM file WHERE id = ?", id);
}

absl::Status FileTable::DeleteOfSession(const std::string& session_id) {
  return db_.sql().Run("DELETE FROM file WHERE session_id = ?", session_id);
}

absl::StatusOr<std::vector<File>> FileTable::List(const std::string& session_id,
                                                  const PageQuery& page) {
  return ReadFiles(db_.sql().Query(
      "SELECT " FILE_COLUMNS
      " FROM file WHERE created_at > ?1 AND created_at < ?2"
      " AND (?3 = '' OR session_id = ?3)"
      " AND (expires_at IS NULL OR expires_at > ?4)"
      " ORDER BY created_at DESC LIMIT ?5",
      page.after, page.before, session_id, db_.Stamp(), page.limit + 1));
}

absl::StatusOr<std::vector<File>> FileTable::OfSession(
    const std::string& session_id) {
  return ReadFiles(db_.sql().Query("SELECT " FILE_COLUMNS
                                   " FROM file WHERE session_id = ?"
                                   " ORDER BY created_at",
                                   session_id));
}

absl::StatusOr<std::vector<std::string>> FileTable::AllIds() {
  SqliteStatement row = db_.sql().Query("SELECT id FROM file");
  std::vector<std::string> ids;
  while (row.Step()) ids.push_back(row.Text(0));
  RETURN_IF_ERROR(row.status());
  return ids;
}

}  // namespace midwatch::harness
