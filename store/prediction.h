// What tasks will cost and how long they will run, from how others of their
// kind went. Pure.
//
//   kind        tasks whose agent, environment, prompt (parameters not filled
//               in) and expected files are the same, in whatever batch
//   sample      an attempt of a kind that succeeded
//   forecast    quantiles of the kind's samples that are kept
//
// Kept are kSamplesMax of a kind at most (a biased reservoir: Aggarwal, VLDB
// 2006). Of the first kSampleMemory each is as likely to be among them as any
// other; from then on a sample's likelihood falls with those that came after
// it, by 1/e in kSampleMemory of them. So which are kept says nothing of the
// order in which tasks end, in which long ones are the last, and a kind that
// changes is not foretold from what it once was. See ADR 20.
#ifndef MIDWATCH_STORE_PREDICTION_H_
#define MIDWATCH_STORE_PREDICTION_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "midwatch/v1/task.pb.h"
#include "store/records.h"

namespace midwatch {

inline constexpr int kSamplesMax = 256;
inline constexpr int kSampleMemory = 1'024;

struct Sample {
  int64_t cost = 0;         // micro-dollars
  int64_t time_micros = 0;  // from the grant to the settle, less the parking
};

// Names a spec's kind: equal for equal kinds, also between releases.
std::string KindOf(const v1::TaskSpec& spec);

// Nearest-rank quantiles: the smallest sample that at least half, or nine
// tenths, of all do not exceed. `samples` is the count of those given.
Forecast Predict(std::vector<Sample> samples);

// How well a forecast held: of one attempt, or of none where nothing was
// foretold.
Calibration HowItHeld(const Forecast& forecast, const Sample& came);

// Where the `n`-th sample (from 1) of the kind with the row `kind` is kept,
// from 0 to kSamplesMax - 1, in place of the one that is there: at first each
// in the next place, later some in any. nullopt: it is not kept. The same for
// the same arguments, and looks random.
std::optional<int> PlaceOfSample(int64_t kind, int64_t n);

// Whether the forecast is worth making anew after the kind's `n`-th sample
// (from 1): each time about an eighth of the samples is new, and at least each
// 32nd time. So a settle reads 16 samples at most, on the average.
bool PredictsAnew(int64_t n);

}  // namespace midwatch

#endif  // MIDWATCH_STORE_PREDICTION_H_
