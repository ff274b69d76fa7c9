// The events of every attempt, in a database of their own: they outnumber
// everything else, and nothing in the queue's file refers to them, so the two
// files commit independently.
//
// An attempt's events are named by the journal's number of its first grant and
// counted from 0 without gaps; the end of what is stored is the checkpoint.
#ifndef MIDWATCH_STORE_EVENT_LOG_H_
#define MIDWATCH_STORE_EVENT_LOG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/sqlite.h"
#include "store/store.h"

namespace midwatch {

// Appends and returns the new end. Events below the stored end are skipped.
//   kOutOfRange  a gap before first_sequence
absl::StatusOr<int64_t> AppendEventChunk(Sqlite& db, const EventChunk& chunk);

absl::StatusOr<int64_t> CountStoredEvents(Sqlite& db, int64_t grant_seq);

// From `from` on, about 4 MiB at most; at least one where there is one.
absl::StatusOr<std::vector<std::string>> ReadStoredEvents(Sqlite& db,
                                                          int64_t grant_seq,
                                                          int64_t from);

}  // namespace midwatch

#endif  // MIDWATCH_STORE_EVENT_LOG_H_
