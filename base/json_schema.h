// JSON Schema (draft 7) for what agents leave, within bounds: schema and
// document are somebody else's, and neither may make a check hang, grow or
// crash.
#ifndef MIDWATCH_BASE_JSON_SCHEMA_H_
#define MIDWATCH_BASE_JSON_SCHEMA_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace midwatch {

// What a schema may hold:
//
//   - draft 7 but for `pattern` and `patternProperties` (a pattern can take
//     for ever, or the stack), with `$defs` beside `definitions`
//   - `$ref` to "#/definitions/NAME" or "#/$defs/NAME" and nothing else, so
//     nothing is ever fetched; a schema that refers to itself is refused
//   - titles, descriptions and other notes, `format` among them, which say
//     nothing about whether a document fits
//
// An unknown keyword is refused: a misspelt one would let everything pass.
//
// Immutable, so any thread may use it.
class JsonSchema {
 public:
  static constexpr size_t kSchemaBytesMax = 64 << 10;
  static constexpr size_t kDocumentBytesMax = 4 << 20;
  static constexpr int kLevelsMax = 64;  // of a schema, and of a document
  // Values in a schema, those of definitions as often as they are referred to.
  static constexpr int64_t kPartsMax = 10'000;
  // Values of the document times parts of the schema.
  static constexpr int64_t kStepsMax = 50'000'000;
  // Of an array where the schema says `uniqueItems`: each is compared with
  // each.
  static constexpr int64_t kUniqueItemsMax = 1000;

  // `text` is the schema as JSON.
  //   kInvalidArgument  "at PLACE: what; expected ...", PLACE a JSON pointer
  static absl::StatusOr<JsonSchema> Parse(absl::string_view text);

  JsonSchema(JsonSchema&&) noexcept;
  JsonSchema& operator=(JsonSchema&&) noexcept;
  ~JsonSchema();

  // Why the document does not fit, in one line of at most 300 bytes; "" where
  // it fits.
  std::string WhyNot(absl::string_view document) const;

 private:
  struct Impl;
  explicit JsonSchema(std::unique_ptr<const Impl> impl);
  std::unique_ptr<const Impl> impl_;
};

}  // namespace midwatch

#endif  // MIDWATCH_BASE_JSON_SCHEMA_H_
