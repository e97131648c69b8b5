#include "bench/cuda/cublaslt.hpp"

#if __has_include(<cublasLt.h>)

#include <array>
#include <memory>

#include <cublasLt.h>

#include "engine/error.hpp"
#include "kernels/cuda/libraries/library.hpp"

/// The functions that are called.
#define PIXELDP_CUBLASLT_FUNCTIONS(X)     \
  X(cublasLtCreate)                       \
  X(cublasLtDestroy)                      \
  X(cublasLtGetStatusString)              \
  X(cublasLtMatmulDescCreate)             \
  X(cublasLtMatmulDescDestroy)            \
  X(cublasLtMatmulDescSetAttribute)       \
  X(cublasLtMatrixLayoutCreate)           \
  X(cublasLtMatrixLayoutDestroy)          \
  X(cublasLtMatmulPreferenceCreate)       \
  X(cublasLtMatmulPreferenceDestroy)      \
  X(cublasLtMatmulPreferenceSetAttribute) \
  X(cublasLtMatmulAlgoGetHeuristic)       \
  X(cublasLtMatmul)

namespace pixeldp::bench::cublaslt {
namespace {

struct Functions {
  kernels::Library library =
      kernels::Library("libcublasLt.so." PIXELDP_TEXT(CUBLAS_VER_MAJOR), "cublasLtCreate");
  PIXELDP_LIBRARY_FUNCTIONS(PIXELDP_CUBLASLT_FUNCTIONS)
};

const Functions& functions() {
  static const Functions functions;
  return functions;
}

void check(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS)
    fail("{}: {}", what, functions().cublasLtGetStatusString(status));
}

/// One product, with all that it takes to do it over and over.
class Product {
 public:
  Product(Inputs& inputs, ProductType type, std::int64_t n)
      : stream_(inputs.stream()), integers_(type == ProductType::int8) {
    const Functions& f = functions();
    const auto size = static_cast<std::uint64_t>(n);
    const cudaDataType operand = integers_ ? CUDA_R_8I : CUDA_R_16BF;
    const cudaDataType result = integers_ ? CUDA_R_32I : CUDA_R_16BF;
    // Random bits are random bytes; of bf16 they would hold values that are no numbers.
    const std::int64_t pairs = n * n / 2;
    const void** const operands[] = {&a_, &b_};
    for (const void** matrix : operands)
      *matrix = inputs.random<std::uint16_t>(integers_ ? pairs : n * n);
    c_ = integers_ ? static_cast<void*>(inputs.zeros<std::int32_t>(n * n))
                   : inputs.zeros<std::uint16_t>(n * n);
    workspace_ = inputs.zeros<unsigned char>(workspace_bytes);

    check(f.cublasLtCreate(&handle_), "making a handle of cuBLASLt");
    check(f.cublasLtMatmulDescCreate(&product_, integers_ ? CUBLAS_COMPUTE_32I : CUBLAS_COMPUTE_32F,
                                     integers_ ? CUDA_R_32I : CUDA_R_32F),
          "describing a product to cuBLASLt");
    const cublasOperation_t transposed = CUBLAS_OP_T;
    check(f.cublasLtMatmulDescSetAttribute(product_, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                           sizeof(transposed)),
          "describing a product to cuBLASLt");
    check(f.cublasLtMatrixLayoutCreate(&operand_, operand, size, size, n),
          "describing a matrix to cuBLASLt");
    check(f.cublasLtMatrixLayoutCreate(&result_, result, size, size, n),
          "describing a matrix to cuBLASLt");
    find_algorithms();
  }
  ~Product() {
    const Functions& f = functions();
    f.cublasLtMatrixLayoutDestroy(result_);
    f.cublasLtMatrixLayoutDestroy(operand_);
    f.cublasLtMatmulDescDestroy(product_);
    f.cublasLtDestroy(handle_);
  }
  Product(const Product&) = delete;
  Product& operator=(const Product&) = delete;

  int algorithms() const { return found_; }

  void run(int algorithm) const {
    const float one = 1.0f, zero = 0.0f;
    const std::int32_t whole_one = 1, whole_zero = 0;
    const void* const alpha = integers_ ? static_cast<const void*>(&whole_one) : &one;
    const void* const beta = integers_ ? static_cast<const void*>(&whole_zero) : &zero;
    check(functions().cublasLtMatmul(
              handle_, product_, alpha, a_, operand_, b_, operand_, beta, c_, result_, c_, result_,
              &algorithms_[static_cast<std::size_t>(algorithm)].algo, workspace_, workspace_bytes,
              static_cast<cudaStream_t>(stream_.native())),
          "a product by cuBLASLt");
  }

 private:
  static constexpr std::size_t workspace_bytes = 32 << 20;  // what NVIDIA advises for Hopper

  void find_algorithms() {
    const Functions& f = functions();
    cublasLtMatmulPreference_t preference = nullptr;
    check(f.cublasLtMatmulPreferenceCreate(&preference), "asking cuBLASLt for algorithms");
    const std::uint64_t workspace = workspace_bytes;
    f.cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                           &workspace, sizeof(workspace));
    const cublasStatus_t status = f.cublasLtMatmulAlgoGetHeuristic(
        handle_, product_, operand_, operand_, result_, result_, preference,
        static_cast<int>(algorithms_.size()), algorithms_.data(), &found_);
    f.cublasLtMatmulPreferenceDestroy(preference);
    check(status, "asking cuBLASLt for algorithms");
  }

  Stream stream_;
  bool integers_;
  const void *a_ = nullptr, *b_ = nullptr;
  void *c_ = nullptr, *workspace_ = nullptr;
  cublasLtHandle_t handle_ = nullptr;
  cublasLtMatmulDesc_t product_ = nullptr;
  cublasLtMatrixLayout_t operand_ = nullptr, result_ = nullptr;
  std::array<cublasLtMatmulHeuristicResult_t, 8> algorithms_ = {};
  int found_ = 0;
};

}  // namespace

Rival matrix_product(Inputs& inputs, ProductType type, std::int64_t n) {
  if (!functions().complete)
    return {"cuBLASLt was not found: PIXELDP_LIBRARIES=FOLDER names where it lies", {}};
  const auto product = std::make_shared<const Product>(inputs, type, n);
  Rival rival;
  for (int algorithm = 0; algorithm < product->algorithms(); ++algorithm)
    rival.algorithms.push_back([=] { product->run(algorithm); });
  return rival;
}

}  // namespace pixeldp::bench::cublaslt

#else  // nothing to call it by

namespace pixeldp::bench::cublaslt {

Rival matrix_product(Inputs&, ProductType, std::int64_t) {
  return {"the program was built without the headers of cuBLASLt", {}};
}

}  // namespace pixeldp::bench::cublaslt

#endif
