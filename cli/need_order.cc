#include "cli/need_order.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <queue>

namespace midwatch::cli {
namespace {

class Ordering {
 public:
  explicit Ordering(const std::vector<TaskNeeds>& tasks)
      : tasks_(tasks),
        open_(tasks.size()),
        needed_by_(tasks.size()),
        late_(tasks.size(), false) {
    for (size_t i = 0; i < tasks.size(); ++i) {
      open_[i] = tasks[i].tasks.size();
      for (size_t needed : tasks[i].tasks) needed_by_[needed].push_back(i);
    }
  }

  NeedOrder Run() {
    FindLate();
    // Those that need all of the others come when the others are out.
    Place(false);
    if (AllEarlyPlaced()) Place(true);
    if (result_.order.size() < tasks_.size()) FindCircle();
    return std::move(result_);
  }

 private:
  // Those that need all, and whatever needs one of them.
  void FindLate() {
    std::vector<size_t> found;
    auto add = [&](size_t task) {
      if (late_[task]) return;
      late_[task] = true;
      ++late_count_;
      found.push_back(task);
    };
    for (size_t i = 0; i < tasks_.size(); ++i) {
      if (tasks_[i].all) add(i);
    }
    while (!found.empty()) {
      const size_t task = found.back();
      found.pop_back();
      for (size_t next : needed_by_[task]) add(next);
    }
  }

  // Of those that could be next, the first that stands there.
  void Place(bool late) {
    std::priority_queue<size_t, std::vector<size_t>, std::greater<>> next;
    for (size_t i = 0; i < tasks_.size(); ++i) {
      if (late_[i] == late && open_[i] == 0) next.push(i);
    }
    while (!next.empty()) {
      const size_t task = next.top();
      next.pop();
      result_.order.push_back(task);
      for (size_t waits : needed_by_[task]) {
        if (--open_[waits] == 0 && late_[waits] == late) next.push(waits);
      }
    }
  }

  bool AllEarlyPlaced() const {
    return result_.order.size() >= tasks_.size() - late_count_;
  }

  // Of the tasks that were to be placed last, each without a place needs
  // another one without.
  void FindCircle() {
    std::vector<bool> placed(tasks_.size(), false), seen(tasks_.size(), false);
    for (size_t task : result_.order) placed[task] = true;
    auto unplaced = [&](size_t task) { return !placed[task]; };
    const bool late = AllEarlyPlaced();
    size_t at = 0;
    while (placed[at] || late_[at] != late) ++at;
    std::vector<size_t> walk;
    while (!seen[at]) {
      seen[at] = true;
      walk.push_back(at);
      at = *std::find_if(tasks_[at].tasks.begin(), tasks_[at].tasks.end(),
                         unplaced);
    }
    result_.circle.assign(std::find(walk.begin(), walk.end(), at), walk.end());
    result_.order.clear();
  }

  const std::vector<TaskNeeds>& tasks_;
  std::vector<size_t> open_;  // needs without a place
  std::vector<std::vector<size_t>> needed_by_;
  std::vector<bool> late_;
  size_t late_count_ = 0;
  NeedOrder result_;
};

}  // namespace

NeedOrder OrderByNeeds(const std::vector<TaskNeeds>& tasks) {
  const bool any = std::any_of(
      tasks.begin(), tasks.end(),
      [](const auto& task) { return task.all || !task.tasks.empty(); });
  if (any) return Ordering(tasks).Run();
  // As most batches are, with up to a million tasks.
  NeedOrder as_they_stand;
  as_they_stand.order.resize(tasks.size());
  std::iota(as_they_stand.order.begin(), as_they_stand.order.end(), size_t{0});
  return as_they_stand;
}

}  // namespace midwatch::cli
