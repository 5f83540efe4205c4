;; The algorithm of vmlab/programs/matmul.vm: a, b and c lie one after the other in memory, and
;; what runs along a row or a column is an address. n is at most 418, as much as 4 MiB hold.

(module
  (memory 64 64)

  (func $fill (param $n i32) (param $b i32)
    (local $i i32) (local $j i32) (local $at i32)
    (loop $rows
      (local.set $j (i32.const 0))
      (loop $columns
        (f64.store
          (local.get $at)
          (f64.convert_i32_s (i32.add (local.get $i) (local.get $j))))
        (f64.store
          (i32.add (local.get $b) (local.get $at))
          (f64.convert_i32_s (i32.sub (local.get $i) (local.get $j))))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br_if $columns
          (i32.lt_s
            (local.tee $j (i32.add (local.get $j) (i32.const 1)))
            (local.get $n))))
      (br_if $rows
        (i32.lt_s
          (local.tee $i (i32.add (local.get $i) (i32.const 1)))
          (local.get $n)))))

  (func $multiply (param $n i32) (param $b i32) (param $c i32)
    (local $width i32) (local $row i32) (local $row_end i32) (local $column i32)
    (local $x i32) (local $y i32) (local $dot f64)
    (local.set $width (i32.shl (local.get $n) (i32.const 3)))
    (loop $rows
      (local.set $row_end (i32.add (local.get $row) (local.get $width)))
      (local.set $column (local.get $b))
      (loop $columns
        (local.set $dot (f64.const 0))
        (local.set $x (local.get $row))
        (local.set $y (local.get $column))
        (loop $products
          (local.set $dot
            (f64.add
              (local.get $dot)
              (f64.mul (f64.load (local.get $x)) (f64.load (local.get $y)))))
          (local.set $y (i32.add (local.get $y) (local.get $width)))
          (br_if $products
            (i32.ne
              (local.tee $x (i32.add (local.get $x) (i32.const 8)))
              (local.get $row_end))))
        (f64.store (local.get $c) (local.get $dot))
        (local.set $c (i32.add (local.get $c) (i32.const 8)))
        (br_if $columns
          (i32.ne
            (local.tee $column (i32.add (local.get $column) (i32.const 8)))
            (i32.add (local.get $b) (local.get $width)))))
      (br_if $rows
        (i32.ne (local.tee $row (local.get $row_end)) (local.get $b)))))

  (func $sum (param $from i32) (param $to i32) (result f64)
    (local $total f64)
    (loop $elements
      (local.set $total (f64.add (local.get $total) (f64.load (local.get $from))))
      (br_if $elements
        (i32.ne
          (local.tee $from (i32.add (local.get $from) (i32.const 8)))
          (local.get $to))))
    (local.get $total))

  (func (export "main") (param $order i64) (result f64)
    (local $n i32) (local $size i32)
    (local.set $n (i32.wrap_i64 (local.get $order)))
    (if (i32.eqz (local.get $n))
      (then (return (f64.const 0))))
    (local.set $size (i32.shl (i32.mul (local.get $n) (local.get $n)) (i32.const 3)))
    (call $fill (local.get $n) (local.get $size))
    (call $multiply
      (local.get $n) (local.get $size) (i32.shl (local.get $size) (i32.const 1)))
    (call $sum
      (i32.shl (local.get $size) (i32.const 1))
      (i32.mul (local.get $size) (i32.const 3)))))
