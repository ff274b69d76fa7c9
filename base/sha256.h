#ifndef MIDWATCH_BASE_SHA256_H_
#define MIDWATCH_BASE_SHA256_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace midwatch {

// SHA-256 as 64 lower-case hex digits: how artifacts and definitions are named.
std::string Sha256Hex(absl::string_view bytes);

// Its first eight bytes, the first one highest.
uint64_t Sha256Prefix(absl::string_view bytes);

// The same of a whole file, read in pieces. Blocks.
absl::StatusOr<std::string> Sha256HexOfFile(const std::string& path);

// Incremental: Update as often as needed, then Finish once.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void Update(absl::string_view bytes);
  std::string FinishHex();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace midwatch

#endif  // MIDWATCH_BASE_SHA256_H_
