// What tasks will cost and how long they will run, from how others of their
// kind went. Pure.
//
//   kind        tasks whose agent, environment, prompt (parameters not filled
//               in) and expected files are the same, in whatever batch
//   sample      an attempt of a kind that succeeded
//   forecast    quantiles of the last kSamplesMax samples
#ifndef MIDWATCH_STORE_PREDICTION_H_
#define MIDWATCH_STORE_PREDICTION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "midwatch/v1/task.pb.h"
#include "store/records.h"

namespace midwatch {

inline constexpr int kSamplesMax = 64;

struct Sample {
  int64_t cost = 0;         // micro-dollars
  int64_t time_micros = 0;  // from the grant to the settle, less the parking
};

// Names a spec's kind: equal for equal kinds, also between releases.
std::string KindOf(const v1::TaskSpec& spec);

// Nearest-rank quantiles: the smallest sample that at least half, or nine
// tenths, of all do not exceed. `samples` is the count of those given.
Forecast Predict(std::vector<Sample> samples);

// Whether the forecast is worth making anew after the kind's `n`-th sample
// (from 1): at first always, later each eighth time, since one of 64 moves
// little.
bool PredictsAnew(int64_t n);

}  // namespace midwatch

#endif  // MIDWATCH_STORE_PREDICTION_H_
