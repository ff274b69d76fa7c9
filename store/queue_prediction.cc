// Keeps how tasks went, and foretells how others of their kind will go.
#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "store/prediction.h"
#include "store/proto_time.h"
#include "store/queue_writer.h"

namespace midwatch {

absl::StatusOr<int64_t> QueueWriter::InsertTemplate(const v1::TaskSpec& spec) {
  const std::string hash = KindOf(spec);
  RETURN_IF_ERROR(db_.Run(
      "INSERT INTO kind(hash) VALUES (?) ON CONFLICT DO NOTHING", hash));
  const int64_t deadline =
      absl::ToInt64Microseconds(FromDuration(spec.deadline()));
  RETURN_IF_ERROR(
      db_.Run("INSERT INTO template(spec, kind, deadline) VALUES "
              "(?, (SELECT id FROM kind WHERE hash = ?), ?)",
              SqliteBlob{spec.SerializeAsString()}, hash,
              SqliteNullable<int64_t>{deadline > 0, deadline}));
  return db_.last_insert_id();
}

absl::StatusOr<absl::Duration> QueueWriter::StartWithin(int64_t template_id) {
  SqliteStatement row = db_.Query(
      "SELECT t.deadline - ifnull(k.time_p90, 0) FROM template t "
      "LEFT JOIN kind k ON k.id = t.kind "
      "WHERE t.id = ? AND t.deadline IS NOT NULL",
      template_id);
  absl::Duration within = absl::InfiniteDuration();
  if (row.Step()) within = absl::Microseconds(row.Int(0));
  RETURN_IF_ERROR(row.status());
  return within;
}

absl::StatusOr<Forecast> QueueWriter::ForecastOf(int64_t template_id) {
  SqliteStatement row = db_.Query(
      "SELECT k.samples, k.cost_p50, k.cost_p90, k.time_p50, k.time_p90 "
      "FROM template t JOIN kind k ON k.id = t.kind WHERE t.id = ?",
      template_id);
  Forecast forecast;
  if (row.Step()) forecast = ReadForecast(row, 0);
  RETURN_IF_ERROR(row.status());
  return forecast;
}

absl::StatusOr<Calibration> QueueWriter::AddSample(const TaskRow& task,
                                                   const LiveRow& live,
                                                   int64_t cost) {
  int64_t kind = 0, n = 0;
  {
    SqliteStatement row = db_.Query(
        "SELECT k.id, k.last + 1 FROM template t JOIN kind k ON k.id = t.kind "
        "WHERE t.id = ?",
        task.template_id);
    if (row.Step()) {
      kind = row.Int(0);
      n = row.Int(1);
    }
    RETURN_IF_ERROR(row.status());
  }
  // Of a release that knew no kinds.
  if (kind == 0) return Calibration();
  // The wall clock may have stepped back.
  const int64_t time =
      std::max<int64_t>(0, NowMicros() - live.granted_at - live.parked_for);
  const Calibration held = HowItHeld(live.forecast, {cost, time});
  if (const std::optional<int> place = PlaceOfSample(kind, n)) {
    RETURN_IF_ERROR(
        db_.Run("INSERT INTO sample(kind, place, cost, time) VALUES (?,?,?,?) "
                "ON CONFLICT(kind, place) DO UPDATE SET cost = excluded.cost, "
                "time = excluded.time",
                kind, *place, cost, time));
  }
  if (!PredictsAnew(n)) {
    RETURN_IF_ERROR(db_.Run("UPDATE kind SET last = ? WHERE id = ?", n, kind));
    return held;
  }
  std::vector<Sample> samples;
  {
    SqliteStatement row =
        db_.Query("SELECT cost, time FROM sample WHERE kind = ?", kind);
    while (row.Step()) samples.push_back({row.Int(0), row.Int(1)});
    RETURN_IF_ERROR(row.status());
  }
  const Forecast next = Predict(std::move(samples));
  RETURN_IF_ERROR(db_.Run(
      "UPDATE kind SET last = ?, samples = ?, cost_p50 = ?, cost_p90 = ?, "
      "time_p50 = ?, time_p90 = ? WHERE id = ?",
      n, next.samples, next.cost_p50, next.cost_p90,
      absl::ToInt64Microseconds(next.time_p50),
      absl::ToInt64Microseconds(next.time_p90), kind));
  return held;
}

absl::Status QueueWriter::NoteDearestRequest(const TaskRow& task,
                                             int64_t usd_micros) {
  if (usd_micros <= 0) return absl::OkStatus();
  return db_.Run(
      "UPDATE kind SET dearest = ? WHERE id = "
      "(SELECT kind FROM template WHERE id = ?) AND dearest < ?",
      usd_micros, task.template_id, usd_micros);
}

}  // namespace midwatch
