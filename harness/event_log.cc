#include "harness/event_log.h"

#include <algorithm>
#include <utility>

#include "base/fault_points.h"
#include "base/status_macros.h"
#include "harness/session_table.h"

namespace midwatch::harness {
namespace {

Json ToEvent(const SqliteStatement& row) {
  Json event = ParseJson(row.Text(0));
  event["processed_at"] =
      row.IsNull(1) ? Json(nullptr) : Json(FormatMicros(row.Int(1)));
  return event;
}

absl::Status ReadInto(SqliteStatement row, std::vector<Json>& events) {
  while (row.Step()) events.push_back(ToEvent(row));
  return row.status();
}

// `id` and `type` first, as everywhere in the API.
Json WithId(Json body, const std::string& id) {
  Json event = {{"id", id}, {"type", StringMember(body, "type")}};
  event.update(body);
  return event;
}

}  // namespace

absl::StatusOr<std::vector<Json>> EventLog::Commit(
    const std::string& session_id, LogWrite write,
    absl::FunctionRef<absl::Status()> also) {
  if (closed_) return absl::CancelledError("the harness is stopping");
  std::vector<Json> events;
  auto write_all = [&]() -> absl::Status {
    RETURN_IF_ERROR(also());
    RETURN_IF_ERROR(Write(session_id, write, events));
    return WriteStatus(session_id, write);
  };
  const bool status = !write.status.empty(), charge = write.charge.has_value();
  FaultPoint("harness.event.before");
  if (status) FaultPoint("harness.status.before");
  if (charge) FaultPoint("harness.charge.before");
  RETURN_IF_ERROR(db_.Transact(write_all));
  FaultPoint("harness.event.after");
  if (status) FaultPoint("harness.status.after");
  if (charge) FaultPoint("harness.charge.after");
  for (const Json& event : events) {
    hub_.Publish(session_id, {StringMember(event, "type"), Dump(event)});
  }
  return events;
}

absl::Status EventLog::Write(const std::string& session_id, LogWrite& write,
                             std::vector<Json>& events) {
  Sqlite& sql = db_.sql();
  for (const std::string& id : write.process) {
    int64_t now = db_.Stamp();
    RETURN_IF_ERROR(
        sql.Run("UPDATE event SET processed_at = ? WHERE session_id = ?"
                " AND processed_at IS NULL AND id = ?",
                now, session_id, id));
    RETURN_IF_ERROR(
        ReadInto(sql.Query("SELECT body, processed_at FROM event"
                           " WHERE session_id = ? AND processed_at = ?",
                           session_id, now),
                 events));
  }
  if (write.flush_queue) {
    RETURN_IF_ERROR(sql.Run(
        "DELETE FROM event WHERE session_id = ? AND processed_at IS NULL",
        session_id));
  }
  auto insert = [&](Json body, bool processed) -> absl::Status {
    std::string id = StringMember(body, "id");
    Json event = WithId(std::move(body), id.empty() ? db_.NewId("sevt_") : id);
    int64_t now = db_.Stamp();
    RETURN_IF_ERROR(sql.Run(
        "INSERT INTO event(session_id, seq, id, type, received_at,"
        " processed_at, body) VALUES (?1, (SELECT coalesce(max(seq), 0) + 1"
        " FROM event WHERE session_id = ?1), ?2, ?3, ?4, ?5, ?6)",
        session_id, StringMember(event, "id"), StringMember(event, "type"), now,
        SqliteNullable<int64_t>{processed, now}, Dump(event)));
    event["processed_at"] = processed ? Json(FormatMicros(now)) : Json(nullptr);
    events.push_back(std::move(event));
    return absl::OkStatus();
  };
  for (Json& body : write.append)
    RETURN_IF_ERROR(insert(std::move(body), true));
  for (Json& body : write.queue)
    RETURN_IF_ERROR(insert(std::move(body), false));
  return absl::OkStatus();
}

absl::Status EventLog::WriteCharge(const std::string& session_id,
                                   const Charge& charge, int64_t now) {
  const TokenUsage& usage = charge.usage;
  RETURN_IF_ERROR(db_.sql().Run(
      "INSERT INTO model_request(id, session_id, at, input_tokens,"
      " output_tokens, cache_read_tokens, cache_write_5m_tokens,"
      " cache_write_1h_tokens, price_usd_micros)"
      " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
      charge.request_id, session_id, now, usage.input, usage.output,
      usage.cache_read, usage.cache_write_5m, usage.cache_write_1h,
      charge.price_usd_micros));
  return db_.sql().Run(
      "UPDATE session SET input_tokens = input_tokens + ?,"
      " output_tokens = output_tokens + ?,"
      " cache_read_tokens = cache_read_tokens + ?,"
      " cache_write_5m_tokens = cache_write_5m_tokens + ?,"
      " cache_write_1h_tokens = cache_write_1h_tokens + ?,"
      " cost_usd_micros = cost_usd_micros + ? WHERE id = ?",
      usage.input, usage.output, usage.cache_read, usage.cache_write_5m,
      usage.cache_write_1h, charge.price_usd_micros, session_id);
}

absl::Status EventLog::WriteStatus(const std::string& session_id,
                                   const LogWrite& write) {
  Sqlite& sql = db_.sql();
  int64_t now = db_.Stamp();
  if (write.charge) {
    RETURN_IF_ERROR(WriteCharge(session_id, *write.charge, now));
  }
  if (write.status.empty()) {
    return sql.Run("UPDATE session SET updated_at = ? WHERE id = ?", now,
                   session_id);
  }
  // Time counts while the status is running, from one change to the next.
  return sql.Run(
      "UPDATE session SET updated_at = ?1, status = ?2, stop_reason ="
      " CASE WHEN ?3 = '' THEN stop_reason ELSE ?3 END,"
      " active_micros = active_micros + coalesce(?1 - running_since, 0),"
      " running_since = CASE WHEN ?2 = 'running' THEN ?1 END WHERE id = ?4",
      now, write.status, write.stop_reason, session_id);
}

absl::StatusOr<std::vector<Json>> EventLog::ReadAll(
    const std::string& session_id) {
  std::vector<Json> events;
  RETURN_IF_ERROR(
      ReadInto(db_.sql().Query("SELECT body, processed_at FROM event"
                               " WHERE session_id = ?"
                               " ORDER BY processed_at IS NULL, processed_at,"
                               " seq",
                               session_id),
               events));
  return events;
}

absl::StatusOr<std::vector<Json>> EventLog::ReadFromLast(
    const std::string& session_id, const std::string& type) {
  // Walks back by the index until it meets the type.
  SqliteStatement row = db_.sql().Query(
      "SELECT body, processed_at, type FROM event WHERE session_id = ?"
      " AND processed_at IS NOT NULL ORDER BY processed_at DESC",
      session_id);
  std::vector<Json> events;
  while (row.Step()) {
    events.push_back(ToEvent(row));
    if (row.Text(2) != type) continue;
    std::reverse(events.begin(), events.end());
    return events;
  }
  RETURN_IF_ERROR(row.status());
  return std::vector<Json>();
}

#define EVENT_LIST_TIMED                                          \
  "SELECT body, processed_at FROM event WHERE session_id = ?1"    \
  " AND processed_at > ?2 AND processed_at < ?3"                  \
  " AND (?4 = '[]' OR type IN (SELECT value FROM json_each(?4)))" \
  " ORDER BY processed_at "
#define EVENT_LIST_QUEUED                                           \
  "SELECT body, processed_at, seq FROM event WHERE session_id = ?1" \
  " AND processed_at IS NULL"                                       \
  " AND (?2 = '[]' OR type IN (SELECT value FROM json_each(?2)))"   \
  " ORDER BY seq "

absl::StatusOr<Json> EventLog::List(const std::string& session_id,
                                    const std::vector<std::string>& types,
                                    const PageQuery& page) {
  struct Row {
    Json event;
    std::string cursor;
  };
  std::vector<Row> rows;
  const std::string type_filter = Dump(Json(types));
  const size_t wanted = static_cast<size_t>(page.limit) + 1;

  auto read_timed = [&]() -> absl::Status {
    SqliteStatement row = db_.sql().Query(
        page.newest_first ? EVENT_LIST_TIMED "DESC" : EVENT_LIST_TIMED "ASC",
        session_id, page.after, page.before, type_filter);
    while (rows.size() < wanted && row.Step()) {
      rows.push_back({ToEvent(row), MakeCursor(page, row.Int(1))});
    }
    return row.status();
  };
  // Queued events are few: those of one session that no turn has reached.
  auto read_queued = [&]() -> absl::Status {
    // They have no time that a filter could compare.
    if (page.has_time_filter) return absl::OkStatus();
    SqliteStatement row = db_.sql().Query(
        page.newest_first ? EVENT_LIST_QUEUED "DESC" : EVENT_LIST_QUEUED "ASC",
        session_id, type_filter);
    while (rows.size() < wanted && row.Step()) {
      int64_t seq = row.Int(2);
      bool shown = page.untimed_after != 0 &&
                   (page.newest_first ? seq >= page.untimed_after
                                      : seq <= page.untimed_after);
      if (!shown) rows.push_back({ToEvent(row), MakeUntimedCursor(page, seq)});
    }
    return row.status();
  };

  if (page.newest_first) {
    // A cursor with a time stands past the queued ones.
    if (!page.has_cursor || page.untimed_after != 0) {
      RETURN_IF_ERROR(read_queued());
    }
    RETURN_IF_ERROR(read_timed());
  } else {
    if (page.untimed_after == 0) RETURN_IF_ERROR(read_timed());
    RETURN_IF_ERROR(read_queued());
  }

  Json next;
  if (rows.size() == wanted) {
    rows.pop_back();
    next = rows.back().cursor;
  }
  Json data = Json::array();
  for (Row& row : rows) data.push_back(std::move(row.event));
  return Json{{"data", std::move(data)}, {"next_page", std::move(next)}};
}

}  // namespace midwatch::harness
