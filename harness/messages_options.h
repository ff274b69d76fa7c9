#ifndef MIDWATCH_HARNESS_MESSAGES_OPTIONS_H_
#define MIDWATCH_HARNESS_MESSAGES_OPTIONS_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "base/prices.h"

namespace midwatch {

// A server of the Messages API: the hosted one, or any that speaks like it.
struct MessagesOptions {
  std::string base_url;  // what comes before /v1/messages; "": there is none
  std::string api_key;   // "": the server wants none
  int64_t max_tokens = 16'000;  // of one answer
  // Between two pieces of an answer; a server that is at work sends pings.
  absl::Duration silence_max = absl::Minutes(2);
  PriceTable prices = BuiltInPrices();
};

}  // namespace midwatch

#endif  // MIDWATCH_HARNESS_MESSAGES_OPTIONS_H_
