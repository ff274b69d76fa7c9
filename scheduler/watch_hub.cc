#include "scheduler/watch_hub.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"

namespace midwatch {
namespace {
constexpr int kPageRows = 500;
}  // namespace

void WatchHub::Watch(const v1::WatchBatchRequest& request,
                     std::shared_ptr<Sink> sink) {
  absl::StatusOr<RowKey> batch = ids_.Parse("batch_id", request.batch_id());
  if (!batch.ok()) return sink->Finish(batch.status());
  if (request.resume_token() < 0) {
    return sink->Finish(absl::InvalidArgumentError("resume_token: negative"));
  }
  int64_t id = next_id_++;
  watchers_[id] = Watcher{*batch, request.resume_token(), std::move(sink)};
  Pump(id);
}

void WatchHub::Lose(const Sink* sink) {
  std::erase_if(watchers_, [&](const auto& entry) {
    return entry.second.sink.get() == sink;
  });
}

void WatchHub::Notify(const std::vector<int64_t>& batches) {
  for (auto& [id, watcher] : watchers_) {
    if (!std::binary_search(batches.begin(), batches.end(),
                            watcher.batch.row)) {
      continue;
    }
    if (watcher.busy) {
      watcher.dirty = true;
    } else {
      Pump(id);
    }
  }
}

void WatchHub::Pump(int64_t id) {
  Watcher& watcher = watchers_[id];
  watcher.busy = true;
  watcher.dirty = false;
  const Place place{watcher.batch, watcher.seq};
  auto [reading, first] = readings_.try_emplace(place);
  (first ? reading->second.now : reading->second.next).push_back(id);
  if (first) Read(place);
}

void WatchHub::Read(const Place& place) {
  store_.Read<Page>(
      [place](StoreReader& reader) -> absl::StatusOr<Page> {
        Page page;
        if (place.after == 0) {
          // The place in the journal from which on changes follow is read
          // before the batch, so that a change between the two comes again
          // rather than not at all.
          ASSIGN_OR_RETURN(page.seq, reader.LastJournalSeq());
        } else {
          ASSIGN_OR_RETURN(
              page.journal,
              reader.ListJournal(place.batch.row, place.after, kPageRows));
          page.seq =
              page.journal.empty() ? place.after : page.journal.back().seq;
        }
        ASSIGN_OR_RETURN(page.batch, reader.GetBatch(place.batch));
        return page;
      },
      [this, place](const absl::StatusOr<Page>& page) {
        SendPages(place, page);
      });
}

struct WatchHub::Sheet {
  int64_t seq = 0;
  bool full = false;  // more of the journal may be there
  bool done = false;  // the batch is
  std::vector<v1::WatchBatchResponse> changes;
  v1::WatchBatchResponse batch;
};

void WatchHub::SendPages(const Place& place, const absl::StatusOr<Page>& page) {
  auto reading = readings_.find(place);
  const std::vector<int64_t> ids = std::move(reading->second.now);
  reading->second.now = std::exchange(reading->second.next, {});
  if (reading->second.now.empty()) {
    readings_.erase(reading);
  } else {
    Read(place);
  }
  Sheet sheet;
  if (page.ok()) {
    sheet.seq = page->seq;
    sheet.full = page->journal.size() == kPageRows;
    sheet.done = page->batch.state == v1::BATCH_STATE_DONE;
    for (const JournalRecord& entry : page->journal) {
      if (!entry.task.has_value()) continue;
      v1::WatchBatchResponse& message = sheet.changes.emplace_back();
      message.set_resume_token(entry.seq);
      *message.mutable_change() = ToProto(entry, ids_);
    }
    sheet.batch.set_resume_token(page->seq);
    *sheet.batch.mutable_batch() = ToProto(page->batch, ids_);
    estimates_.Describe(page->batch, *sheet.batch.mutable_batch());
  }
  for (int64_t id : ids) {
    if (!watchers_.contains(id)) continue;
    if (page.ok()) {
      SendSheet(id, sheet);
    } else {
      End(id, page.status());
    }
  }
}

void WatchHub::SendSheet(int64_t id, const Sheet& sheet) {
  Watcher& watcher = watchers_[id];
  watcher.seq = sheet.seq;
  watcher.dirty |= sheet.full;
  const bool last = sheet.done && !watcher.dirty;
  for (const v1::WatchBatchResponse& change : sheet.changes) {
    watcher.sink->Send(change, [] {});
  }
  // One page is under way at a time: the next is read once this one is taken.
  watcher.sink->Send(sheet.batch, [this, id, last] {
    if (!watchers_.contains(id)) return;
    if (last) return End(id, absl::OkStatus());
    Rest(id);
  });
}

void WatchHub::Rest(int64_t id) {
  Watcher& watcher = watchers_[id];
  watcher.busy = false;
  if (watcher.dirty) Pump(id);
}

void WatchHub::End(int64_t id, absl::Status status) {
  std::shared_ptr<Sink> sink = std::move(watchers_[id].sink);
  watchers_.erase(id);
  sink->Finish(std::move(status));
}

}  // namespace midwatch
