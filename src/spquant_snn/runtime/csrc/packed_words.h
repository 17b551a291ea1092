/* packed_words: sums of a few words of codes, word by word, for processors without vectors. */
#ifndef SPQ_PACKED_WORDS_H
#define SPQ_PACKED_WORDS_H

/* Of up to four words with fields of 4 bits: the even ones, and all of them shifted by one. */
typedef struct {
    uint32_t even[4], shifted[4];
} spq_nibbles;

SPQ_INLINE void spq_clear_nibbles(spq_nibbles *sums, const int32_t words) {
    SPQ_UNROLL(4)
    for (int32_t i = 0; i < words; i++) sums->even[i] = sums->shifted[i] = 0;
}

SPQ_INLINE void spq_add_nibbles(spq_nibbles *sums, const uint32_t *row, const int32_t words, uint32_t mask) {
    SPQ_UNROLL(4)
    for (int32_t i = 0; i < words; i++) sums->even[i] += row[i] & mask, sums->shifted[i] += row[i] >> 4;
}

SPQ_INLINE void spq_keep_nibbles(const spq_nibbles *sums, const int32_t words, uint32_t *even, uint32_t *shifted) {
    SPQ_UNROLL(4)
    for (int32_t i = 0; i < words; i++) even[i] = sums->even[i], shifted[i] = sums->shifted[i];
}

/* Of eight words that are multiplied. */
typedef struct {
    uint32_t words[8];
} spq_products;

SPQ_INLINE void spq_clear_products(spq_products *sums) {
    SPQ_UNROLL(8)
    for (int32_t i = 0; i < 8; i++) sums->words[i] = 0;
}

SPQ_INLINE void spq_add_products(spq_products *sums, const uint32_t *row, uint32_t weight) {
    SPQ_UNROLL(8)
    for (int32_t i = 0; i < 8; i++) sums->words[i] += row[i] * weight;
}

SPQ_INLINE void spq_keep_products(const spq_products *sums, uint32_t *words) {
    SPQ_UNROLL(8)
    for (int32_t i = 0; i < 8; i++) words[i] = sums->words[i];
}

#endif
