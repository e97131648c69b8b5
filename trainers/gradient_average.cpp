#include "trainers/gradient_average.hpp"

#include "engine/buffer.hpp"

namespace pixeldp {

GradientAverage::GradientAverage(const Stream& stream, layers::Network& network,
                                 Communicator& ranks, std::int64_t bucket)
    : stream_(stream),
      copies_(stream.device()),
      network_(network),
      ranks_(ranks),
      bucket_(bucket) {}

void GradientAverage::begin() {
  std::vector<layers::Parameter*> trained;
  for (layers::Parameter* parameter : network_.parameters())
    if (!parameter->frozen) trained.push_back(parameter);
  if (received_) received_->wait();
  if (trained != trained_) {
    trained_ = std::move(trained);
    plan();
  }
  copied_ = sent_ = summed_ = 0;
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
  const auto ranks = static_cast<std::size_t>(ranks_.size());
  for (Bucket& bucket : buckets_) {
    bucket.slice = (static_cast<std::size_t>(bucket.size) + ranks - 1) / ranks;
    bucket.theirs.resize(bucket.slice * ranks);
    bucket.in_place = !on_device() && bucket.parameters.size() == 1 &&
                      bucket.theirs.size() == static_cast<std::size_t>(bucket.size);
    if (bucket.in_place) continue;
    bucket.mine = std::static_pointer_cast<float>(
        pinned_memory(stream_.device(), bucket.slice * ranks * sizeof(float)));
  }
}

void GradientAverage::ready(std::size_t node) {
  while (copied_ < buckets_.size() && buckets_[copied_].node >= node) copy(buckets_[copied_++]);
  if (on_device()) return;  // which this thread is far ahead of: finish() waits
  while (sent_ < copied_) send(buckets_[sent_++]);
  get_on();
}

/// As far as the others are.
void GradientAverage::get_on() {
  while (summed_ < sent_ && buckets_[summed_].exchange->done()) sum(buckets_[summed_++]);
  if (summed_ > 0) buckets_[summed_ - 1].exchange->done();
}

void GradientAverage::finish() {
  ready(0);
  while (sent_ < copied_) {
    send(buckets_[sent_++]);
    get_on();
  }
  while (summed_ < sent_) sum(buckets_[summed_++]);
  for (Bucket& bucket : buckets_) receive(bucket);
  if (on_device()) received_.emplace(stream_);
}

void GradientAverage::copy(Bucket& bucket) {
  if (bucket.in_place) {
    bucket.mine = {std::shared_ptr<float>(), bucket.parameters.front()->gradient.data()};
    return;
  }
  if (on_device()) Event(stream_).hold(copies_);
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
  float* const sums = bucket.theirs.data();
  const std::size_t slice = bucket.slice;
  const int ranks = ranks_.size();
  for (int r = 1; r < ranks; ++r) {
    const float* const more = sums + static_cast<std::size_t>(r) * slice;
    for (std::size_t i = 0; i < slice; ++i) sums[i] += more[i];
  }
  for (std::size_t i = 0; i < slice; ++i) sums[i] /= static_cast<float>(ranks);
  bucket.exchange = ranks_.begin_all_gather(sums, slice * sizeof(float), bucket.mine.get());
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
