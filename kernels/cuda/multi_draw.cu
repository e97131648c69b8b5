/// From prefixes to statistics, see kernels/multi_draw.hpp:
///
///   x = bf16(activation(prefix + scale z)),  f = bf16(relu(x (*) conv)),
///   h = relu(dense f + bias),  votes, sums, squares += statistics of the head of h
///
/// Layouts: prefixes [images, in_h, in_w, in_c], aligned to 16 bytes; weights packed once into the
/// order in which the lanes of a warp want them (fragments.hpp), so that a lane's part of 16
/// products of 16 columns is one access of 16 bytes, and a warp's accesses are 512 bytes in a row.
///
/// Work: a block does 32 draws (or 16) of one image, row after row of the convolution's output.
///
///   Noise is made once per element and lies in shared memory as bf16, of as many rows of the image
///   as the kernel is high. The rows that the next row of the output needs take the place of those
///   that it does not, and are made while the tensor cores do the dense layer.
///   The convolution takes the draws of one pixel as the rows of its matrix. So there is no matrix
///   of patches: a pixel is read from shared memory once for all taps that meet it (2.5 on the
///   average), and taps outside the image are left out.
///   The dense layer is added up as the rows of its input come: the sums of all draws and all
///   hidden units, 32 x 1024, stay in registers to the end, and each of its weights is read once.
///   The head and the scores are those of draw_statistics.cu, from hidden units in shared memory.
///
/// One output row's features of 32 draws are 28 KB, of which an A100 has 20 left: the first two of
/// seven pixels take the place of a row that is over, and are read before the noise takes it back.
/// Devices with less shared memory do 16 draws at a time, and read the weights twice as often.
///
/// The order of a sum: the convolution's over kernel rows, 16 channels, then taps of equal residue
/// modulo the stride; the dense layer's over (h, w, c). No sum meets another draw, so its bits
/// depend on its own operands only.
///
/// In int8 noised values, features and weights are bytes, and a product has 32 channels in the
/// place of 16: half as many of the same fragments. Sums are exact, and what becomes of them is
/// that of int8_epilogue.cuh: the counts are those of a plan's steps (kernels/inference.hpp), and
/// so a processor's. Rows of features always find room, and registers do not: operands come while
/// noise is made, not before.
///
/// Fused: everything. Never written to global memory: noise, activations, logits, scores.
///
/// MNIST, per draw: 5.3 million products on tensor cores (2.1 the convolution's, without those of
/// the padding), 6272 elements of noise of 55 instructions of PTX each, 10240 products of the head.
/// Bytes from the L2 cache: 201 KB of the dense layer's weights, 23 of the convolution's (46 if the
/// two warps that share them never meet in the L1 cache), 2 of prefix and head.
///
/// Roofline, computed, not measured; clocks of one multiprocessor for 32 draws, in thousands:
///
///                                      A100                       H100
///   convolution, tensor cores           66 (1024 products a clock)  33 (2048, of which
///   dense layer, tensor cores          100                          50  mma.sync gets less)
///   dense layer, L2 cache              136 (47 bytes a clock)      166 (39, if it gives 5120 in
///   noise, 128 lanes                    86, 25 of them alone        86, 25 alone     all, too)
///   head, 128 lanes                      9                           9
///   sum of what does not overlap       236                         233
///   tensor cores' share                 70 %                        36 %
///
/// So the L2 cache is the limit (in int8 half the bytes are left, and noise is as long): a draw's
/// weights are read once for 32 draws, and no more sums fit into the registers of a multiprocessor.
/// On sm_90a two of them share the sums of 64 draws instead, multi_draw_cluster.cu.
///
///   nvcc --resource-usage   registers sm_80, sm_90   shared memory   (none spilt)
///   MNIST, 32 draws         248, 254                 163840
///   MNIST, 16 draws         177, 167                  87552
///   in int8, 32 draws       246, 250                 153600
///   in int8, 16 draws       180, 165                  87552
///   6 x 6, 32 draws         118, 123                  38912
///   6 x 6, 16 draws         108, 123                  30208
#include <iterator>
#include <string>

#include "kernels/cuda/current_arch.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/fragments.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/multi_draw.hpp"
#include "kernels/cuda/multi_draw_layers.cuh"
#include "kernels/cuda/operations.hpp"
#include "kernels/cuda/stream_scratch.cuh"

namespace pixeldp::kernels::PIXELDP_DEVICE {
namespace {

using namespace multi_draw_layers;

template <class S, class Transform>
__global__ void __launch_bounds__(S::threads, 1)
    multi_draw_kernel(Work work, Weights weights, Totals totals) {
  auto& shared = shared_storage<SharedStorage<S>>();
  const int thread = static_cast<int>(threadIdx.x);
  const std::int64_t image = blockIdx.y;
  const std::uint32_t first = blockIdx.x * S::draws;  // of this launch's draws
  Rows<S>& rows = shared.rows;

  {
    const NoiseMaker<S, Transform> noise(work, image, work.first_draw + first, thread);
    const int first_rows = S::kernel - work.pad_h;
#pragma unroll 1
    for (int step = 0; step * S::pixels_at_once < first_rows * S::in_w; ++step)
      noise.make(rows.noised, 0, first_rows, step);
  }
  __syncthreads();

  Dense<S> dense;
#pragma unroll 1
  for (int p = 0; p < work.out_h; ++p) {
    const int new_row = p * S::stride - work.pad_h + S::kernel;
    const int last_new_row = new_row + S::stride - 1;
    const uint4* const weight = dense.at(weights.dense, std::int64_t{p} * S::steps);
    {
      Convolution<S> conv(thread);
      conv.run(rows.noised, work, weights.conv, p);
      if constexpr (S::overlaid > 0) __syncthreads();  // nobody reads the row that is over
      store_features(conv, rows, work.scales, last_new_row);
    }
    dense.load(weight);
    __syncthreads();
    // Made anew for each row, so that its parts take no registers during the convolution.
    const NoiseMaker<S, Transform> noise(work, image, work.first_draw + first, thread);
    if (p + 1 < work.out_h && new_row < work.in_h)
      dense.template run<true>(rows, weight, noise, new_row);
    else
      dense.template run<false>(rows, weight, noise, new_row);
    __syncthreads();
  }

  Ends<S>& ends = shared.ends;
  const int classes = static_cast<int>(weights.head.classes);
  dense.store(ends, work.scales, weights.dense_bias);
  ends.sums.clear(classes, thread, S::threads);
  __syncthreads();
  score_draws(ends, work, weights.head, totals, image, first, thread / 32);
  __syncthreads();
  ends.sums.add_to(totals, image, classes, thread, S::threads);
}

class PackedMultiDraw : public MultiDraw {
 public:
  PackedMultiDraw(const Stream& stream, const MultiDrawNetwork& network,
                  const MultiDrawWeights& weights, int block_draws)
      : stream_(native(stream)),
        network_(network),
        block_draws_(block_draws),
        conv_(stream_, conv_bytes() + network.conv.kernel_w * 32 * network.conv.out_c),
        dense_(stream_, dense_bytes()),
        conv_scale_(stream_, weights.int8.conv_scale, network.conv.out_c),
        dense_scale_(stream_, weights.int8.dense_scale, network.hidden),
        inverse_scale_(weights.int8.inverse_scale),
        features_inverse_scale_(weights.int8.features_inverse_scale),
        dense_bias_(stream_, weights.dense_bias, network.hidden),
        head_(stream_, weights.head, network.hidden * network.classes),
        head_bias_(stream_, weights.head_bias, network.classes) {
    const Conv2dShape& conv = network.conv;
    const bool in_clusters =
        MultiDrawGrid::plan(network, {}, current_arch(), block_draws).in_clusters();
    const StreamScratch<std::byte> fragments(stream_, in_clusters ? dense_bytes() : 0);
    const StreamScratch<std::byte>& dense = in_clusters ? fragments : dense_;
    if (network.in_int8) {
      copy(weights.int8.conv, conv_bytes(), conv_);
      copy(weights.int8.dense, dense_bytes(), dense);
    } else {
      pack(conv.in_c, conv.kernel_h, conv.out_c, weights.conv, conv_);
      pack(network.dense_in(), 1, network.hidden, weights.dense, dense);
    }
    if (in_clusters)
      pack_matrices(stream_, network.dense_in() * element_bytes() / MultiDrawCluster::depth_bytes,
                    MultiDrawCluster::columns_of(network.hidden), static_cast<int>(network.hidden),
                    fragments.data(), dense_.data());
  }

  void run(const MultiDrawParams& params, const float* prefixes, const std::uint32_t* image_ids,
           std::uint64_t* votes, std::uint64_t* sums, std::uint64_t* squares,
           std::uint64_t* bad_row) const override {
    const MultiDrawGrid grid =
        MultiDrawGrid::plan(network_, params, current_arch(), block_draws_, prefixes);
    if (grid.draw_blocks == 0 || grid.images == 0) return;
    const auto to_int = [](std::int64_t value) { return static_cast<int>(value); };
    Work work = {
        to_int(network_.conv.in_h),
        to_int(network_.conv.out_h()),
        to_int(network_.conv.pad_h.before),
        params.noise,
        params.first_draw,
        params.draws,
        prefixes,
        image_ids,
        {conv_scale_.data(), dense_scale_.data(), inverse_scale_, features_inverse_scale_}};
    if (params.noise.distribution == NoiseDistribution::none) work.noise.scale = 0.0f;
    const Weights weights = {reinterpret_cast<const uint4*>(conv_.data()),
                             reinterpret_cast<const uint4*>(dense_.data()),
                             dense_bias_.data(),
                             {head_.data(), head_bias_.data(), network_.hidden, network_.classes}};
    const auto counts = [](std::uint64_t* values) { return reinterpret_cast<Count*>(values); };
    const Totals totals = {{counts(votes), counts(sums), counts(squares)}, counts(bad_row)};
    if (grid.in_clusters())
      return run_in_clusters(stream_, grid, network_.in_int8, work, weights, totals);
    if (network_.in_int8)
      start<std::int8_t>(grid, work, weights, totals);
    else
      start<std::uint16_t>(grid, work, weights, totals);
  }

 private:
  std::int64_t element_bytes() const { return network_.in_int8 ? 1 : 2; }
  std::int64_t conv_bytes() const { return network_.conv.weight_size() * element_bytes(); }
  std::int64_t dense_bytes() const {
    return network_.hidden * network_.dense_in() * element_bytes();
  }

  void pack(std::int64_t in_c, std::int64_t kernel, std::int64_t out_c, const float* weight,
            const StreamScratch<std::byte>& packed) const {
    pack_fragments(stream_, static_cast<int>(in_c), static_cast<int>(kernel),
                   static_cast<int>(out_c), weight,
                   reinterpret_cast<std::uint16_t*>(packed.data()));
  }
  void copy(const std::int8_t* weight, std::int64_t bytes,
            const StreamScratch<std::byte>& packed) const {
    check_call(cudaMemcpyAsync(packed.data(), weight, static_cast<std::size_t>(bytes),
                               cudaMemcpyDeviceToDevice, stream_),
               "copying " + std::to_string(bytes) + " bytes");
  }

  template <class Element>
  void start(const MultiDrawGrid& grid, const Work& work, const Weights& weights,
             const Totals& totals) const {
    with_shape<ShapeOf, Element>(
        grid.shape, work.noise.distribution,
        [&]<class S, class Transform>(std::type_identity<S>, std::type_identity<Transform>) {
          static_assert(sizeof(SharedStorage<S>) == S::value.shared_bytes);
          launch<multi_draw_kernel<S, Transform>>(dim3(grid.draw_blocks, grid.images), S::threads,
                                                  sizeof(SharedStorage<S>), stream_, work, weights,
                                                  totals);
        });
  }

  cudaStream_t stream_;
  MultiDrawNetwork network_;
  int block_draws_;
  StreamScratch<std::byte> conv_;  // and room for a step that is loaded for nothing
  StreamScratch<std::byte> dense_;
  StreamCopy conv_scale_, dense_scale_;
  float inverse_scale_, features_inverse_scale_;
  StreamCopy dense_bias_, head_, head_bias_;
};

}  // namespace

std::unique_ptr<MultiDraw> pack_multi_draw(const Stream& stream, const MultiDrawNetwork& network,
                                           const MultiDrawWeights& weights, int block_draws) {
  MultiDrawGrid::plan(network, {}, current_arch(), block_draws);  // throws where no kernel fits
  return std::make_unique<PackedMultiDraw>(stream, network, weights, block_draws);
}

std::unique_ptr<MultiDraw> pack_multi_draw(const Stream& stream, const MultiDrawNetwork& network,
                                           const MultiDrawWeights& weights) {
  return pack_multi_draw(stream, network, weights, 0);
}

}  // namespace pixeldp::kernels::PIXELDP_DEVICE
