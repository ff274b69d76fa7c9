// A store in front of another: writes that are made to fail or to do something
// else, and events whose storing takes as long as a test wants.
#ifndef MIDWATCH_TESTS_TESTING_FAULTY_STORE_H_
#define MIDWATCH_TESTS_TESTING_FAULTY_STORE_H_

#include <functional>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "base/executor.h"
#include "store/store.h"

namespace midwatch::testing {

class FaultyStore final : public Store {
 public:
  // Both outlive it. `executor` is `inner`'s.
  FaultyStore(Executor& executor, Store& inner)
      : executor_(executor), inner_(inner) {}
  FaultyStore(Executor& executor, std::unique_ptr<Store> inner)
      : executor_(executor), owned_(std::move(inner)), inner_(*owned_) {}

  // Not OK: the write is answered so, and not carried out. May change it.
  std::function<absl::Status(Write&)> on_write;
  // Sees, and may change, what is answered.
  std::function<void(absl::StatusOr<WriteResult>&)> on_result;

  // How often it was read from.
  int64_t reads() const { return reads_; }

  // Appends wait, in their order, until they are let go.
  void HoldAppends() { holding_ = true; }
  void LetAppendsGo() {
    holding_ = false;
    for (auto& [chunk, done] : std::exchange(held_, {})) {
      inner_.AppendEvents(std::move(chunk), std::move(done));
    }
  }

  void AppendEvents(EventChunk chunk, Callback<int64_t> done) override {
    if (!holding_)
      return inner_.AppendEvents(std::move(chunk), std::move(done));
    held_.emplace_back(std::move(chunk), std::move(done));
  }
  void SetCommitListener(
      std::function<void(const std::vector<int64_t>&)> listener) override {
    inner_.SetCommitListener(std::move(listener));
  }
  uint16_t cluster() const override { return inner_.cluster(); }
  std::string cluster_mark() const override { return inner_.cluster_mark(); }

 protected:
  void ApplyWrite(Write write, Callback<WriteResult> done) override {
    absl::Status status = on_write ? on_write(write) : absl::OkStatus();
    if (!status.ok()) {
      return PostHome([status = std::move(status),
                       done = std::move(done)]() mutable { done(status); });
    }
    std::visit(
        [&](auto& w) {
          using W = std::decay_t<decltype(w)>;
          inner_.Apply(
              std::move(w), [this, done = std::move(done)](
                                absl::StatusOr<typename W::Result> r) mutable {
                absl::StatusOr<WriteResult> result = absl::UnknownError("");
                if (r.ok()) {
                  result = WriteResult(*std::move(r));
                } else {
                  result = r.status();
                }
                if (on_result) on_result(result);
                done(std::move(result));
              });
        },
        write);
  }
  void ReadWith(absl::AnyInvocable<void(StoreReader&)> work) override {
    ++reads_;
    inner_.Read<bool>(
        [work = std::move(work)](
            StoreReader& reader) mutable -> absl::StatusOr<bool> {
          work(reader);
          return true;
        },
        [](absl::StatusOr<bool>) {});
  }
  void PostHome(absl::AnyInvocable<void()> task) override {
    executor_.Post(std::move(task));
  }

 private:
  Executor& executor_;
  std::unique_ptr<Store> owned_;  // may be none
  Store& inner_;
  int64_t reads_ = 0;
  bool holding_ = false;
  std::vector<std::pair<EventChunk, Callback<int64_t>>> held_;
};

}  // namespace midwatch::testing

#endif  // MIDWATCH_TESTS_TESTING_FAULTY_STORE_H_
