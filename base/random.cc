#include "base/random.h"

#include <sys/random.h>

#include <cstdlib>

namespace midwatch {

std::string Random::Hex(int bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(static_cast<size_t>(bytes) * 2);
  uint64_t bits = 0;
  for (int i = 0; i < bytes; ++i) {
    if (i % 8 == 0) bits = Next();
    out.push_back(kDigits[(bits >> 4) & 15]);
    out.push_back(kDigits[bits & 15]);
    bits >>= 8;
  }
  return out;
}

uint64_t RealRandom::Next() {
  uint64_t value;
  // Fails only where the kernel has no such call: nothing sensible is left to
  // do, and a guessable key would be worse than a stop.
  if (getrandom(&value, sizeof value, 0) != sizeof value) std::abort();
  return value;
}

uint64_t SeededRandom::Next() {
  uint64_t z = (state_ += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace midwatch
