#include "worker/cost_meter.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace midwatch {

void CostMeter::SetModel(std::string model) {
  if (!model.empty()) model_ = std::move(model);
}

void CostMeter::Note(const Event& event) {
  if (const auto* usage = std::get_if<SessionUsage>(&event.body)) {
    if (!usage->list_cost_usd_micros) return;
    named_ = usage->list_cost_usd_micros;
    since_ = 0;
    unpriced_ = false;
  }
  if (const auto* end = std::get_if<ModelRequestEnd>(&event.body)) {
    std::optional<int64_t> price = FindPrice(prices_, model_, end->usage);
    unpriced_ |= !price;
    since_ += price.value_or(0);
    dearest_request_ = std::max(dearest_request_, price.value_or(0));
  }
}

void CostMeter::Reset() {
  named_.reset();
  since_ = 0;
  unpriced_ = false;
  dearest_request_ = 0;
}

std::optional<int64_t> CostMeter::estimate() const {
  if (unpriced_) return std::nullopt;
  return named_.value_or(0) + since_;
}

}  // namespace midwatch
