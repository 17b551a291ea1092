/* lanes in plain C: one number of 16 bits at a time, in loops over them of which compilers make vectors. A mask is all
 * ones or none. */
typedef int16_t spq_vector;
typedef int16_t spq_mask;

SPQ_INLINE spq_vector spq_load(const int16_t *from) {
    return *from;
}
SPQ_INLINE spq_vector spq_same(int16_t value) {
    return value;
}
SPQ_INLINE spq_vector spq_least(spq_vector a, spq_vector b) {
    return a < b ? a : b;
}
SPQ_INLINE spq_vector spq_largest(spq_vector a, spq_vector b) {
    return a > b ? a : b;
}
SPQ_INLINE spq_vector spq_add(spq_vector a, spq_vector b) { /* b is brought within what a has room for */
    const spq_vector most = (spq_vector)(32767 - spq_largest(a, 0)), least = (spq_vector)(-32768 - spq_least(a, 0));
    return (spq_vector)(a + spq_largest(spq_least(b, most), least));
}
SPQ_INLINE spq_vector spq_subtract(spq_vector a, spq_vector b) {
    const spq_vector most = (spq_vector)(32767 + spq_least(a, 0)), least = (spq_vector)(-32768 + spq_largest(a, 0));
    return (spq_vector)(a - spq_least(spq_largest(b, least), most));
}
SPQ_INLINE spq_vector spq_shift(spq_vector a, int32_t by) {
    return (spq_vector)(a * (1 << by)); /* whose result fits */
}
SPQ_INLINE spq_vector spq_choose(spq_mask mask, spq_vector yes, spq_vector no) {
    return (spq_vector)((yes & mask) | (no & ~mask));
}
SPQ_INLINE spq_mask spq_reaches(spq_vector a, spq_vector b) {
    return (spq_mask)-(a >= b);
}
