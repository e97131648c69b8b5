#include "trainers/gradient_average.hpp"

#include <utility>

#include "kernels/elementwise.hpp"

namespace pixeldp {

GradientAverage::GradientAverage(const Stream& stream, layers::Network& network,
                                 Communicator& ranks, std::int64_t bucket, DeviceAverage on_devices)
    : stream_(stream),
      copies_(stream.device()),
      network_(network),
      ranks_(ranks),
      bucket_(bucket),
      on_devices_(std::move(on_devices)) {}

void GradientAverage::begin() {
  std::vector<layers::Parameter*> trained;
  for (layers::Parameter* parameter : network_.parameters())
    if (!parameter->frozen) trained.push_back(parameter);
  if (received_) received_->wait();
  if (trained != trained_) {
    trained_ = std::move(trained);
    plan();
  }
  made_ = sent_ = summed_ = 0;
}

/// In the order in which a backward pass makes the gradients.
void GradientAverage::plan() {
  buckets_.clear();
  for (std::size_t node = network_.graph.nodes().size(); node-- > 0;) {
    for (layers::Parameter* parameter : network_.graph.layer(node).parameters()) {
      if (parameter->frozen) continue;
      const std::int64_t size = parameter->value.size();
      if (buckets_.empty() || buckets_.back().size + size > bucket_) buckets_.emplace_back();
      Bucket& bucket = buckets_.back();
      bucket.node = node;
      bucket.parameters.push_back(parameter);
      bucket.size += size;
    }
  }
  for (Bucket& bucket : buckets_) plan_memory(bucket);
}

void GradientAverage::plan_memory(Bucket& bucket) {
  const auto ranks = static_cast<std::size_t>(ranks_.size());
  const auto size = static_cast<std::size_t>(bucket.size);
  bucket.slice = (size + ranks - 1) / ranks;
  if (on_devices_.ranks) {
    constexpr std::size_t wide = 4;  // floats of the widest access
    bucket.slice = (bucket.slice + wide - 1) / wide * wide;
  }
  const std::size_t all = bucket.slice * ranks;
  const bool fits = bucket.parameters.size() == 1 && all == size;
  if (on_devices_.ranks) {
    bucket.in_place = fits;
    const auto count = static_cast<std::int64_t>(all);
    if (!fits) bucket.mine_on_device = Buffer<float>(stream_.device(), count);
    if (!on_devices_.own_order) bucket.theirs_on_device = Buffer<float>(stream_.device(), count);
    return;
  }
  bucket.theirs.resize(all);
  bucket.in_place = fits && !on_device();
  if (bucket.in_place) return;
  bucket.mine =
      std::static_pointer_cast<float>(pinned_memory(stream_.device(), all * sizeof(float)));
}

void GradientAverage::ready(std::size_t node) {
  while (made_ < buckets_.size() && buckets_[made_].node >= node) {
    Bucket& bucket = buckets_[made_++];
    if (!on_device())
      copy(bucket);
    else if (bucket.made)
      bucket.made->again();
    else
      bucket.made.emplace(stream_);
  }
  if (on_device()) return;  // which this thread is far ahead of
  while (sent_ < made_) send(buckets_[sent_++]);
  get_on();
}

/// As far as the others are.
void GradientAverage::get_on() {
  while (summed_ < sent_ && buckets_[summed_].exchange->done()) sum(buckets_[summed_++]);
  if (summed_ > 0) buckets_[summed_ - 1].exchange->done();
}

void GradientAverage::finish() {
  if (on_device()) {
    for (Bucket& bucket : buckets_) {
      bucket.made->hold(copies_);
      on_devices_.ranks ? average_on_devices(bucket) : copy(bucket);
    }
    if (on_devices_.ranks) return Event(copies_).hold(stream_);
  }
  while (sent_ < buckets_.size()) {
    send(buckets_[sent_++]);
    get_on();
  }
  while (summed_ < sent_) sum(buckets_[summed_++]);
  for (Bucket& bucket : buckets_) receive(bucket);
  if (on_device()) received_.emplace(stream_);
}

void GradientAverage::check() {
  if (on_devices_.ranks) on_devices_.ranks->check();
}

void GradientAverage::average_on_devices(Bucket& bucket) {
  const Device device = stream_.device();
  float* const mine =
      bucket.in_place ? bucket.parameters.front()->gradient.data() : bucket.mine_on_device.data();
  const auto for_each_part = [&](const auto& copy_part) {
    if (bucket.in_place) return;
    float* part = mine;
    for (layers::Parameter* parameter : bucket.parameters) {
      const std::int64_t size = parameter->value.size();
      copy_part(part, parameter->gradient.data(), static_cast<std::size_t>(size) * sizeof(float));
      part += size;
    }
  };
  for_each_part([&](float* part, const float* gradient, std::size_t bytes) {
    copy_memory(copies_, part, device, gradient, device, bytes);
  });
  DeviceCommunicator& between = *on_devices_.ranks;
  if (on_devices_.own_order) {
    between.all_reduce_mean(copies_, mine, bucket.size);
  } else {
    const auto slice = static_cast<std::int64_t>(bucket.slice);
    float* const theirs = bucket.theirs_on_device.data();
    between.all_to_all(copies_, mine, slice, theirs);
    kernels::average_rows(copies_, ranks_.size(), slice, theirs, theirs);
    between.all_gather(copies_, theirs, slice, mine);
  }
  for_each_part([&](const float* part, float* gradient, std::size_t bytes) {
    copy_memory(copies_, gradient, device, part, device, bytes);
  });
}

void GradientAverage::copy(Bucket& bucket) {
  if (bucket.in_place) {
    bucket.mine = {std::shared_ptr<float>(), bucket.parameters.front()->gradient.data()};
    return;
  }
  float* to = bucket.mine.get();
  for (const layers::Parameter* parameter : bucket.parameters) {
    const std::int64_t size = parameter->value.size();
    download_async(copies_, to, parameter->gradient.data(),
                   static_cast<std::size_t>(size) * sizeof(float));
    to += size;
  }
  if (on_device()) bucket.copied.emplace(copies_);
}

void GradientAverage::send(Bucket& bucket) {
  if (bucket.copied) bucket.copied->wait();
  bucket.exchange = ranks_.begin_all_to_all(bucket.mine.get(), bucket.slice * sizeof(float),
                                            bucket.theirs.data());
}

/// Averages this rank's slice, and sends it to all.
void GradientAverage::sum(Bucket& bucket) {
  bucket.exchange->wait();
  float* const means = bucket.theirs.data();
  kernels::average_rows(Stream(), ranks_.size(), static_cast<std::int64_t>(bucket.slice), means,
                        means);
  bucket.exchange = ranks_.begin_all_gather(means, bucket.slice * sizeof(float), bucket.mine.get());
}

void GradientAverage::receive(Bucket& bucket) {
  bucket.exchange->wait();
  if (bucket.in_place) return;
  const float* from = bucket.mine.get();
  for (layers::Parameter* parameter : bucket.parameters) {
    const std::int64_t size = parameter->value.size();
    upload_async(stream_, parameter->gradient.data(), from,
                 static_cast<std::size_t>(size) * sizeof(float));
    from += size;
  }
}

}  // namespace pixeldp
