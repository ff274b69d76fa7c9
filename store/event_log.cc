#include "store/event_log.h"

#include <zstd.h>

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace midwatch {
namespace {

// zstd's own default: transcripts shrink about tenfold, at hundreds of MB/s.
constexpr int kZstdLevel = 3;
constexpr size_t kReadBytes = 4 << 20;

// A context costs more to make than a small chunk to compress, and each thread
// that writes or reads events goes on doing so.
ZSTD_CCtx* Compressor() {
  thread_local const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)>
      context(ZSTD_createCCtx(), &ZSTD_freeCCtx);
  return context.get();
}

ZSTD_DCtx* Decompressor() {
  thread_local const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)>
      context(ZSTD_createDCtx(), &ZSTD_freeDCtx);
  return context.get();
}

// Each event behind its length, since JSON text may hold any character.
std::string Pack(const EventChunk& chunk, size_t skip) {
  std::string plain;
  for (size_t i = skip; i < chunk.events_json.size(); ++i) {
    const std::string& event = chunk.events_json[i];
    uint64_t size = event.size();
    plain.append(reinterpret_cast<const char*>(&size), sizeof size);
    plain.append(event);
  }
  std::string frame(ZSTD_compressBound(plain.size()), '\0');
  size_t n = ZSTD_compressCCtx(Compressor(), frame.data(), frame.size(),
                               plain.data(), plain.size(), kZstdLevel);
  frame.resize(n);
  return frame;
}

absl::StatusOr<std::vector<std::string>> Unpack(const std::string& frame) {
  unsigned long long size =
      ZSTD_getFrameContentSize(frame.data(), frame.size());
  if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR) {
    return absl::DataLossError("a chunk of events is no zstd frame");
  }
  std::string plain(size, '\0');
  size_t n = ZSTD_decompressDCtx(Decompressor(), plain.data(), plain.size(),
                                 frame.data(), frame.size());
  if (ZSTD_isError(n) || n != size) {
    return absl::DataLossError("a chunk of events does not decompress");
  }
  std::vector<std::string> events;
  for (size_t at = 0; at < plain.size();) {
    uint64_t length = 0;
    if (plain.size() - at < sizeof length) {
      return absl::DataLossError("a chunk of events is cut short");
    }
    plain.copy(reinterpret_cast<char*>(&length), sizeof length, at);
    at += sizeof length;
    if (plain.size() - at < length) {
      return absl::DataLossError("a chunk of events is cut short");
    }
    events.push_back(plain.substr(at, length));
    at += length;
  }
  return events;
}

}  // namespace

absl::StatusOr<int64_t> CountStoredEvents(Sqlite& db, int64_t grant_seq) {
  SqliteStatement row = db.Query(
      "SELECT first + events FROM chunk WHERE grant_seq = ? "
      "ORDER BY first DESC LIMIT 1",
      grant_seq);
  if (row.Step()) return row.Int(0);
  RETURN_IF_ERROR(row.status());
  return int64_t{0};
}

absl::StatusOr<int64_t> AppendEventChunk(Sqlite& db, const EventChunk& chunk) {
  ASSIGN_OR_RETURN(int64_t end, CountStoredEvents(db, chunk.grant_seq));
  if (chunk.first_sequence > end) {
    return absl::OutOfRangeError(absl::StrCat(
        "events ", end, " to ", chunk.first_sequence - 1, " are missing"));
  }
  size_t skip = static_cast<size_t>(end - chunk.first_sequence);
  if (skip >= chunk.events_json.size()) return end;
  int64_t count = static_cast<int64_t>(chunk.events_json.size() - skip);
  RETURN_IF_ERROR(db.Run(
      "INSERT INTO chunk(grant_seq, first, events, body) VALUES (?,?,?,?)",
      chunk.grant_seq, end, count, SqliteBlob{Pack(chunk, skip)}));
  return end + count;
}

absl::StatusOr<std::vector<std::string>> ReadStoredEvents(Sqlite& db,
                                                          int64_t grant_seq,
                                                          int64_t from) {
  SqliteStatement row = db.Query(
      "SELECT first, body FROM chunk WHERE grant_seq = ? AND first + events > "
      "? "
      "ORDER BY first",
      grant_seq, from);
  std::vector<std::string> result;
  size_t bytes = 0;
  while (bytes < kReadBytes && row.Step()) {
    ASSIGN_OR_RETURN(std::vector<std::string> events, Unpack(row.Text(1)));
    int64_t first = row.Int(0);
    for (size_t i = 0; i < events.size() && bytes < kReadBytes; ++i) {
      if (first + static_cast<int64_t>(i) < from) continue;
      bytes += events[i].size();
      result.push_back(std::move(events[i]));
    }
  }
  RETURN_IF_ERROR(row.status());
  return result;
}

}  // namespace midwatch
