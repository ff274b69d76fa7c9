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
  if (request.resume_token() == 0) {
    Begin(id);
  } else {
    Pump(id);
  }
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

// The batch as it stands, and the place in the journal from which on changes
// follow: read first, so that a change between the two reads comes again
// rather than not at all.
void WatchHub::Begin(int64_t id) {
  RowKey batch = watchers_[id].batch;
  store_.Read<Page>(
      [batch](StoreReader& reader) -> absl::StatusOr<Page> {
        Page page;
        ASSIGN_OR_RETURN(page.seq, reader.LastJournalSeq());
        ASSIGN_OR_RETURN(page.batch, reader.GetBatch(batch));
        return page;
      },
      [this, id](absl::StatusOr<Page> page) {
        if (!watchers_.contains(id)) return;
        if (!page.ok()) return End(id, page.status());
        SendPage(id, *std::move(page));
      });
}

void WatchHub::Pump(int64_t id) {
  Watcher& watcher = watchers_[id];
  watcher.busy = true;
  watcher.dirty = false;
  store_.Read<Page>(
      [batch = watcher.batch,
       after = watcher.seq](StoreReader& reader) -> absl::StatusOr<Page> {
        Page page;
        ASSIGN_OR_RETURN(page.journal,
                         reader.ListJournal(batch.row, after, kPageRows));
        page.seq = page.journal.empty() ? after : page.journal.back().seq;
        ASSIGN_OR_RETURN(page.batch, reader.GetBatch(batch));
        return page;
      },
      [this, id](absl::StatusOr<Page> page) {
        if (!watchers_.contains(id)) return;
        if (!page.ok()) return End(id, page.status());
        SendPage(id, *std::move(page));
      });
}

void WatchHub::SendPage(int64_t id, Page page) {
  Watcher& watcher = watchers_[id];
  watcher.seq = page.seq;
  watcher.dirty |= page.journal.size() == kPageRows;
  bool last = page.batch.state == v1::BATCH_STATE_DONE && !watcher.dirty;
  for (const JournalRecord& entry : page.journal) {
    if (!entry.task.has_value()) continue;
    v1::WatchBatchResponse message;
    message.set_resume_token(entry.seq);
    *message.mutable_change() = ToProto(entry, ids_);
    watcher.sink->Send(std::move(message), [] {});
  }
  v1::WatchBatchResponse message;
  message.set_resume_token(page.seq);
  *message.mutable_batch() = ToProto(page.batch, ids_);
  estimates_.Describe(page.batch, *message.mutable_batch());
  // One page is under way at a time: the next is read once this one is taken.
  watcher.sink->Send(std::move(message), [this, id, last] {
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
