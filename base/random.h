#ifndef MIDWATCH_BASE_RANDOM_H_
#define MIDWATCH_BASE_RANDOM_H_

#include <cstdint>
#include <string>

namespace midwatch {

// Randomness as a seam. Not thread-safe: each node has its own.
class Random {
 public:
  virtual ~Random() = default;
  // 64 uniform bits.
  virtual uint64_t Next() = 0;

  // Uniform in [0, 1).
  double Fraction() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }
  // `bytes` random bytes in lower-case hex: nonces, keys, file names.
  std::string Hex(int bytes);
};

// Seeds itself from the system and is fit for keys.
class RealRandom final : public Random {
 public:
  uint64_t Next() override;
};

// SplitMix64 (Steele, Lea, Flood 2014): the same seed gives the same numbers on
// every machine. For tests and the simulator.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : state_(seed) {}
  uint64_t Next() override;

 private:
  uint64_t state_;
};

}  // namespace midwatch

#endif  // MIDWATCH_BASE_RANDOM_H_
