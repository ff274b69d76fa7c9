// The contract of store/store.h, which every store keeps. Its tests run once
// for each store that is listed here.
//
// To add a store: a StoreFactory (tests/testing/store_host.h) and a line below.
#ifndef MIDWATCH_TESTS_CONTRACT_STORE_CONTRACT_H_
#define MIDWATCH_TESTS_CONTRACT_STORE_CONTRACT_H_

#include <gtest/gtest.h>

#include <memory>
#include <ostream>
#include <string>

#include "tests/testing/store_fixture.h"

namespace midwatch::testing {

struct StoreKind {
  const char* name;
  std::unique_ptr<StoreFactory> (*make)();

  friend std::ostream& operator<<(std::ostream& out, const StoreKind& kind) {
    return out << kind.name;
  }
};

inline auto EveryStore() {
  return ::testing::Values(StoreKind{
      "Sqlite", []() -> std::unique_ptr<StoreFactory> {
        return std::make_unique<SqliteStoreFactory>(TempDir::InMemory());
      }});
}

inline std::string NameOfStore(
    const ::testing::TestParamInfo<StoreKind>& info) {
  return info.param.name;
}

class ContractTest : public AnyStoreFixture,
                     public ::testing::WithParamInterface<StoreKind> {
 protected:
  ContractTest() : AnyStoreFixture(GetParam().make()) {}
};

// The store's promises as stories, each from a submit on.
class StoreTest : public ContractTest {};

}  // namespace midwatch::testing

// The tests of `suite` on every store, named suite.Test/Store.
#define MIDWATCH_ON_EVERY_STORE(suite)                                 \
  INSTANTIATE_TEST_SUITE_P(, suite, ::midwatch::testing::EveryStore(), \
                           ::midwatch::testing::NameOfStore)

#endif  // MIDWATCH_TESTS_CONTRACT_STORE_CONTRACT_H_
