// What a benchmark says beside its number: spread, how fast the disk was, the
// machine, how busy it was, and the target. One JSON line for each figure on
// standard output, and a table for people at the end.
#ifndef MIDWATCH_BENCH_REPORT_H_
#define MIDWATCH_BENCH_REPORT_H_

#include <string>
#include <vector>

namespace midwatch::bench {

struct Spread {
  double min = 0, median = 0, max = 0;
};
// REQUIRES: not empty.
Spread SpreadOf(std::vector<double> values);

// The value below which the share `q` of `values` lies. REQUIRES: not empty.
double Quantile(std::vector<double> values, double q);

// How long the disk takes to make one 4 KiB write in place durable
// (fdatasync), in microseconds: what every acknowledged write waits for.
struct FlushLatency {
  double p50 = 0, p99 = 0;
};
FlushLatency ProbeFlush(const std::string& dir);

struct Target {
  enum Kind { kNone, kAtLeast, kAtMost };
  Kind kind = kNone;
  double value = 0;
};
inline Target AtLeast(double value) { return {Target::kAtLeast, value}; }
inline Target AtMost(double value) { return {Target::kAtMost, value}; }

struct Figure {
  std::string name;  // "submit_single.grpc.rate"
  std::string what;  // one line: what was counted, and how
  std::string unit;
  std::vector<double> runs;  // one value each
  // Compared with the median.
  Target target;
};

// Not thread-safe.
class Report {
 public:
  explicit Report(std::string commit) : commit_(std::move(commit)) {}

  // Begins a benchmark: looks at the disk and at the load before it.
  // `durability` says what "stored" means in it.
  void Begin(const std::string& dir, std::string durability);
  void Add(Figure figure);

  // All figures against their targets, to standard output.
  void PrintTable() const;

 private:
  struct Row {
    Figure figure;
    Spread spread;
    bool met = true;
  };

  const std::string commit_;
  std::string dir_, durability_;
  FlushLatency flush_;
  double load_before_ = 0;
  std::vector<Row> rows_;
};

}  // namespace midwatch::bench

#endif  // MIDWATCH_BENCH_REPORT_H_
