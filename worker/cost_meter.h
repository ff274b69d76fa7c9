#ifndef MIDWATCH_WORKER_COST_METER_H_
#define MIDWATCH_WORKER_COST_METER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "agents/event.h"
#include "base/prices.h"

namespace midwatch {

// About what a session has cost so far: what the service last named, and the
// price of the model requests since. The service names it only when the session
// comes to rest. The time that a session runs, its searches and discounts are
// not in it, so nothing is booked by it.
class CostMeter {
 public:
  // `prices` outlives it.
  explicit CostMeter(const PriceTable& prices) : prices_(prices) {}

  // What it knows of events stays; "" is no model.
  void SetModel(std::string model);
  // Each event once, in the session's order.
  void Note(const Event& event);
  // Another session, or this one anew. The model stays.
  void Reset();

  // Nothing where the model or its price is not known.
  std::optional<int64_t> estimate() const;
  // The dearest request so far, 0 where none has a price.
  int64_t dearest_request() const { return dearest_request_; }

 private:
  const PriceTable& prices_;
  std::string model_;
  std::optional<int64_t> named_;
  int64_t since_ = 0;      // requests with a price
  bool unpriced_ = false;  // there were others
  int64_t dearest_request_ = 0;
};

}  // namespace midwatch

#endif  // MIDWATCH_WORKER_COST_METER_H_
