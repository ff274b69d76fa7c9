#include "base/external_id.h"

#include <cctype>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace midwatch {
namespace {

constexpr char kAlphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

int DigitValue(char c) {
  char upper = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  if (upper == 'O') return 0;
  if (upper == 'I' || upper == 'L') return 1;
  for (int i = 0; i < 32; ++i) {
    if (kAlphabet[i] == upper) return i;
  }
  return -1;
}

}  // namespace

std::string FormatExternalId(const ExternalId& id) {
  unsigned __int128 bits =
      (static_cast<unsigned __int128>(
           (static_cast<uint64_t>(id.unix_millis) << 16) | id.cluster)
       << 64) |
      static_cast<uint64_t>(id.row);
  std::string out(26, '0');
  for (int i = 25; i >= 0; --i) {
    out[static_cast<size_t>(i)] = kAlphabet[static_cast<int>(bits & 31)];
    bits >>= 5;
  }
  return out;
}

absl::StatusOr<ExternalId> ParseExternalId(absl::string_view text) {
  auto bad = [&] {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", absl::Utf8SafeCEscape(text.substr(0, 64)),
        "' is no id: expected 26 characters like 01JD3M8T5P0V3G0000000000AB"));
  };
  if (text.size() != 26) return bad();
  unsigned __int128 bits = 0;
  for (size_t i = 0; i < 26; ++i) {
    int value = DigitValue(text[i]);
    // 26 digits hold 130 bits: the first may use only three of its five.
    if (value < 0 || (i == 0 && value > 7)) return bad();
    bits = (bits << 5) | static_cast<unsigned>(value);
  }
  ExternalId id;
  uint64_t high = static_cast<uint64_t>(bits >> 64);
  id.unix_millis = static_cast<int64_t>(high >> 16);
  id.cluster = static_cast<uint16_t>(high & 0xffff);
  id.row = static_cast<int64_t>(static_cast<uint64_t>(bits));
  if (id.row < 1) return bad();
  return id;
}

}  // namespace midwatch
